#!/bin/bash
# The guest's part of ./demo: what a person would type, with the answers shown.
set -eu
examples=/lunkit/targetcli-examples
iqn=iqn.2026-01.org.example:demo
say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

say "kernel $(uname -r), $(lunkitd --version)"
mkfs.ext4 -q /dev/scratch-disk
mkdir -p /srv
mount /dev/scratch-disk /srv
lunkitd --foreground 2>/run/lunkitd.log &
daemon=$!
until lunkit list >/dev/null 2>&1; do sleep 0.1; done
trap 'status=$?; [ $status -eq 0 ] || { echo "lunkitd said:"; tail -n 30 /run/lunkitd.log; }' EXIT

say "three LUNs, made by targetcli"
targetcli <<'EOT'
set global auto_add_default_portal=false
/backstores/user:file create name=vol1 size=1G cfgstring=/srv/vol1.img
/backstores/user:file create name=vol2 size=512M cfgstring=/srv/vol2.img
/backstores/user:ram create name=scratch size=256M cfgstring=scratch
/backstores/fileio create name=kernel size=512M file_or_dev=/srv/kernel.img
/loopback create naa.5001405000000001
/loopback/naa.5001405000000001/luns create /backstores/user:file/vol1
/loopback/naa.5001405000000001/luns create /backstores/user:ram/scratch
/loopback/naa.5001405000000001/luns create /backstores/fileio/kernel
/iscsi create iqn.2026-01.org.example:demo
/iscsi/iqn.2026-01.org.example:demo/tpg1/luns create /backstores/user:file/vol2
/iscsi/iqn.2026-01.org.example:demo/tpg1 set attribute generate_node_acls=1 demo_mode_write_protect=0 authentication=0
/iscsi/iqn.2026-01.org.example:demo/tpg1/portals create 127.0.0.1 3260
EOT
run lunkit list

say "vol1 over loopback: a file system, mounted, written, verified"
vol1=$("$examples/disk-of" vol1)
run mkfs.ext4 -q "$vol1"
run mkdir -p /mnt/vol1
run mount "$vol1" /mnt/vol1
run fio --name=verify --directory=/mnt/vol1 --size=64M --rw=randwrite --bs=4k-64k --ioengine=libaio --iodepth=16 \
    --direct=1 --verify=crc32c --do_verify=1 --minimal >/run/fio.log
echo "fio wrote 64 MiB and verified every block"
before=$(du -m /srv/vol1.img | cut -f1)
rm -f /mnt/vol1/verify*
sync
run fstrim -v /mnt/vol1
echo "the image takes $(du -m /srv/vol1.img | cut -f1) MiB, before the trim $before MiB"
run umount /mnt/vol1
run e2fsck -fn "$vol1"

say "vol2 over iSCSI on 127.0.0.1"
iscsid
run iscsiadm -m discovery -t sendtargets -p 127.0.0.1
run iscsiadm -m node -T $iqn -p 127.0.0.1 -l
vol2=$("$examples/disk-of" vol2)
run mkfs.xfs -q "$vol2"
run mkdir -p /mnt/vol2
run mount "$vol2" /mnt/vol2
head -c 32M /dev/urandom >/run/random
run cp /run/random /mnt/vol2/
run umount /mnt/vol2
run mount "$vol2" /mnt/vol2
run cmp /run/random /mnt/vol2/random
echo "32 MiB came back from the disk as they were written"
run umount /mnt/vol2
run iscsiadm -m node -T $iqn -u

say "figures (4 KiB direct, 3 s each; under emulation only the ratios mean something)"
kernel=$("$examples/disk-of" kernel)
scratch=$("$examples/disk-of" scratch)
iops() { # iops DISK RW DEPTH
    fio --name=x --filename="$1" --rw="$2" --bs=4k --iodepth="$3" --ioengine=libaio --direct=1 --time_based --runtime=3 \
        --size=128M --norandommap --output-format=json | jq '[.jobs[0].read.iops, .jobs[0].write.iops] | add | floor'
}
printf '%-22s %12s %12s %12s %12s\n' 'IOPS' 'read qd1' 'write qd1' 'read qd32' 'write qd32'
for row in "user:file:$vol1" "user:ram:$scratch" "LIO fileio:$kernel"; do
    disk=${row##*:}
    [ -b "$disk" ]
    dd if=/dev/zero of="$disk" bs=1M count=128 oflag=direct status=none
    printf '%-22s %12s %12s %12s %12s\n' "${row%:*}" "$(iops "$disk" randread 1)" "$(iops "$disk" randwrite 1)" \
        "$(iops "$disk" randread 32)" "$(iops "$disk" randwrite 32)"
done

say "and down again"
targetcli <<'EOT'
/iscsi delete iqn.2026-01.org.example:demo
/loopback delete naa.5001405000000001
/backstores/user:file delete vol1
/backstores/user:file delete vol2
/backstores/user:ram delete scratch
/backstores/fileio delete kernel
EOT
run lunkit list
kill -TERM $daemon
wait $daemon
echo "lunkitd ended with status 0"
umount /srv
