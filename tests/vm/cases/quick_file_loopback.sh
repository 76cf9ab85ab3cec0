# The main road in one go: user:file and user:ram over loopback, a file system, verified data, a clean end.
# timeout: 180
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
targets_ok < <(
    echo '/backstores/user:file create name=d size=128M cfgstring=/tank/d'
    echo '/backstores/user:ram create name=r size=32M cfgstring=r'
    loopback_lines /backstores/user:file/d /backstores/user:ram/r
)
disk=$(loop_disk_of d)
ram=$(loop_disk_of r)
watch_errors "$disk" "$ram"
assert_eq "$(blockdev --getsize64 "$disk")" $((128 << 20)) "size of the file's disk"
mkfs.ext4 -q "$disk"
mkdir -p /mnt/d
mount "$disk" /mnt/d
random_file /mnt/d/data 16
sum=$(sha256sum </mnt/d/data)
umount /mnt/d
mount "$disk" /mnt/d
assert_eq "$(sha256sum </mnt/d/data)" "$sum" "data after mounting again"
umount /mnt/d

step "ram"
verify_load "$ram" --size=8M
assert_no_errors

step "end"
targets_ok <<EOT
/loopback delete $(loopback_wwn /backstores/user:file/d)
/loopback delete $(loopback_wwn /backstores/user:ram/r)
/backstores/user:file delete d
/backstores/user:ram delete r
EOT
e2fsck -fn /tank/d
stop_lunkitd
