# LIO's own fileio over loopback and iSCSI, without lunkitd: what fails here is not ours.
# usually: none
# timeout: 180
. "$LUNKIT_VM/lib.sh"
iqn=iqn.2024-01.org.lunkit:fileio

tank
targets_ok < <(
    echo '/backstores/fileio create name=f1 file_or_dev=/tank/f1 size=64M'
    echo '/backstores/fileio create name=f2 file_or_dev=/tank/f2 size=64M'
    loopback_lines /backstores/fileio/f1
    iscsi_lines $iqn /backstores/fileio/f2
)
random_file /tank/data 8

step "loopback"
disk=$(loop_disk_of f1)
dd if=/tank/data of="$disk" bs=1M oflag=direct status=none
cmp -n $((8 << 20)) /tank/data /tank/f1

step "iSCSI"
iscsi_login $iqn
disk=$(iscsi_disk_of $iqn 0)
dd if=/tank/data of="$disk" bs=1M oflag=direct status=none
dd if="$disk" bs=1M count=8 iflag=direct status=none | cmp - /tank/data
iscsi_logout $iqn
