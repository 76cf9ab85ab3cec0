# lunkit ublk resize on a kernel without UPDATE_SIZE: refused with the reason, unless the device may be removed and made again;
# that is refused while somebody uses it, and keeps number and contents.
# kernels: 6.12
# timeout: 240
. "$LUNKIT_VM/lib.sh"

size_of() { blockdev --getsize64 "$1"; }

tank
mkdir -p /mnt/u
start_lunkitd
truncate -s 64M /tank/disk
disk=$(lunkit ublk add file//tank/disk --number 3 --queues 2)

step "refused without --recreate, and while somebody uses the device"
assert_fails "resize" lunkit ublk resize "$disk" 96M
assert_match "$output" 'Linux 6.16.*--recreate' "what resize says"
mkfs.ext4 -q -F "$disk"
mount "$disk" /mnt/u
random_file /mnt/u/data 8
cp /mnt/u/data /tank/copy
assert_fails "resize of a mounted device" lunkit ublk resize "$disk" 96M --recreate
assert_match "$output" 'in use' "what resize says"
assert_eq "$(stat -c %s /tank/disk)" $((64 << 20)) "size of the file"
umount /mnt/u

step "it grows"
lunkit ublk resize "$disk" 96M --recreate
assert_eq "$(size_of "$disk")" $((96 << 20)) "size"
assert_eq "$(stat -c %s /tank/disk)" $((96 << 20)) "size of the file"
assert_eq "$(find "/sys/block/${disk##*/}/mq" -mindepth 1 -maxdepth 1 | wc -l)" "$(nproc)" "hardware queues"
e2fsck -fp "$disk"
resize2fs "$disk"
mount "$disk" /mnt/u
cmp /mnt/u/data /tank/copy
[ "$(df --output=size -B1M /mnt/u | tail -n 1)" -gt 70 ] || fail "the file system has not grown"
umount /mnt/u

step "the next daemon has it with its size"
kill_lunkitd
start_lunkitd
wait_for 20 "the device" eval '[ "$(lunkit ublk list --json | jq -r ".[0].state")" = running ]'
assert_eq "$(size_of "$disk")" $((96 << 20)) "size"
e2fsck -fn "$disk"

step "what the storage refuses changes nothing"
assert_fails "data of a file that would be cut off" lunkit ublk resize "$disk" 32M --recreate
assert_eq "$(size_of "$disk")" $((96 << 20)) "size"
assert_fails "half a block" lunkit ublk resize "$disk" 1000 --recreate
assert_match "$output" 'whole blocks' "what resize says"
assert_fails "no such device" lunkit ublk resize 9 32M --recreate
lunkit ublk resize "$disk" 96M    # the size that it has

step "memory and an image keep their contents"
ram=$(lunkit ublk add ram/r --size 16M)
dd if=/tank/copy of="$ram" bs=1M oflag=direct conv=fsync status=none
lunkit ublk resize "$ram" 24M --recreate
assert_eq "$(size_of "$ram")" $((24 << 20)) "size of ram"
cmp -n $((8 << 20)) "$ram" /tank/copy
qemu-img create -q -f qcow2 /tank/image 64M
image=$(lunkit ublk add qcow//tank/image)
dd if=/tank/copy of="$image" bs=1M oflag=direct conv=fsync status=none
lunkit ublk resize "$image" 1G --recreate
assert_eq "$(size_of "$image")" $((1 << 30)) "size of the image"
cmp -n $((8 << 20)) "$image" /tank/copy
for device in "$disk" "$ram" "$image"; do lunkit ublk del "$device"; done
qemu-img check -q /tank/image
assert_eq "$(find /dev/shm -name 'lunkit-ram-*' | wc -l)" 0 "memory of devices that are gone"
stop_lunkitd
