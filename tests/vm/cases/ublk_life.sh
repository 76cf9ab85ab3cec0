# ublk devices from add to del, by each handler: node and limits, contents, file systems, and their end.
# kernels: 6.12
# timeout: 480
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
limit() { cat "/sys/block/${1##*/}/queue/$2"; }

step "file: limits from the handler"
truncate -s 64M /tank/disk
disk=$(lunkit ublk add file//tank/disk)
[[ $disk =~ ^/dev/ublkb[0-9]+$ ]] || fail "add printed '$disk'"
[ -b "$disk" ] || fail "no $disk"
assert_eq "$(blockdev --getsize64 "$disk")" $((64 << 20)) "size"
assert_eq "$(limit "$disk" logical_block_size)" 512 "logical block"
assert_eq "$(limit "$disk" write_cache)" "write back" "write cache"
assert_eq "$(limit "$disk" fua)" 1 "FUA"
assert_eq "$(limit "$disk" io_timeout)" 1000 "ms until a daemon that died with all tags is noticed"
[ "$(limit "$disk" discard_max_bytes)" -gt 0 ] || fail "no discard"
[ "$(limit "$disk" write_zeroes_max_bytes)" -gt 0 ] || fail "no write zeroes"
assert_match "$(lunkit ublk list)" "${disk##*/} +running +64.* $disk +file//tank/disk" "ublk list"
assert_eq "$(lunkit ublk list --json | jq -r '.[].node')" "$disk" "ublk list --json"
verify_load "$disk"
sync "$disk"
cmp "$disk" /tank/disk

step "file: discard, write zeroes with and without deallocation"
dd if=/dev/urandom of="$disk" bs=1M count=64 oflag=direct conv=fsync status=none
full=$(allocated /tank/disk)
fallocate --keep-size --zero-range --offset 0 --length 8M "$disk"    # BLKDEV_ZERO_NOUNMAP
assert_eq "$(head -c 8M "$disk" | tr -d '\0' | wc -c)" 0 "bytes left by write zeroes"
assert_eq "$(allocated /tank/disk)" "$full" "space after zeroes that must stay allocated"
blkdiscard --zeroout --offset 8M --length 8M "$disk"
blkdiscard --offset 16M --length 16M "$disk"
assert_eq "$(dd if="$disk" bs=1M skip=16 count=16 iflag=direct status=none | tr -d '\0' | wc -c)" 0 "bytes left by discard"
[ "$(allocated /tank/disk)" -le $((full - (16 << 20))) ] || fail "discard gave nothing back"

step "file: mkfs, mount, and del refuses a mounted device"
mkfs.ext4 -q -F "$disk"
mkdir -p /mnt/u
mount "$disk" /mnt/u
random_file /mnt/u/data 8
cp /mnt/u/data /tank/copy
assert_fails "del of a mounted device" lunkit ublk del "$disk"
assert_match "$output" 'in use' "what del says"
umount /mnt/u
e2fsck -fn "$disk"
mount "$disk" /mnt/u
cmp /mnt/u/data /tank/copy
umount /mnt/u
lunkit ublk del "$disk"
[ ! -e "$disk" ] || fail "$disk is still there"
[ ! -e "${disk/ublkb/ublkc}" ] || fail "the character device is still there"
lunkit ublk del "$disk"    # what is not there is removed
assert_fails "del of what is no ublk device" lunkit ublk del /dev/sda
assert_match "$output" 'is no ublk device' "what del says"

step "file: del stores what was written through the page cache"
disk=$(lunkit ublk add file//tank/disk)
cp /tank/copy /tank/expected
truncate -s 64M /tank/expected
# Somebody has it open, so that no close writes the cache back; the kernel waits for that one at the end.
exec {held}<>"$disk"
cat /tank/expected >&$held
lunkit ublk del "$disk" {held}>&- &
removal=$!
wait_for 60 "the end of the disk" eval '[ ! -e "$disk" ]'
exec {held}>&-
wait $removal
cmp /tank/disk /tank/expected

step "ram, null, qcow"
disk=$(lunkit ublk add ram/u --size 32M --number 7)
assert_eq "$disk" /dev/ublkb7 "node with a number of its own"
assert_eq "$(limit "$disk" write_cache)" "write through" "write cache of ram"
verify_load "$disk"
assert_fails "a number twice" lunkit ublk add null/ --number 7
assert_match "$output" 'already' "what add says"
null=$(lunkit ublk add null/ --block-size 4096)
assert_eq "$(limit "$null" logical_block_size)" 4096 "logical block"
assert_eq "$(dd if="$null" bs=1M count=4 iflag=direct status=none | tr -d '\0' | wc -c)" 0 "bytes of null that are not zero"
qemu-img create -q -f qcow2 /tank/image 1G
image=$(lunkit ublk add qcow//tank/image)
assert_eq "$(blockdev --getsize64 "$image")" $((1 << 30)) "size of the image"
verify_load "$image"
mkfs.xfs -q -f "$image"
mount "$image" /mnt/u
cp /tank/copy /mnt/u/
umount /mnt/u
truncate -s 16M /tank/ro
ro=$(lunkit ublk add file//tank/ro --read-only)
assert_eq "$(blockdev --getro "$ro")" 1 "read only"
assert_fails "a write to it" dd if=/dev/zero of="$ro" bs=4096 count=1 oflag=direct status=none
assert_eq "$(lunkit ublk list --json | jq length)" 4 "devices"
lunkit ublk del 7
lunkit ublk del "$image"
qemu-img check -q /tank/image

step "errors"
assert_fails "a missing file" lunkit ublk add file//tank/missing
assert_match "$output" 'missing' "what add says"
assert_fails "no handler" lunkit ublk add nosuch/x
assert_fails "no size" lunkit ublk add ram/x
assert_eq "$(lunkit ublk list --json | jq length)" 2 "devices left"

step "a stop leaves the devices to the next daemon"
stop_lunkitd
[ -b "$null" ] && [ -b "$ro" ] || fail "a device went with the daemon"
assert_eq "$(find /run/lunkit/ublk -name '*.device' -perm 600 | wc -l)" 2 "records"
start_lunkitd
wait_for 20 "both devices" eval '[ "$(lunkit ublk list --json | jq "map(select(.state == \"running\")) | length")" = 2 ]'
assert_eq "$(blockdev --getro "$ro")" 1 "read only, still"
assert_eq "$(dd if="$null" bs=1M count=4 iflag=direct status=none | tr -d '\0' | wc -c)" 0 "bytes of null that are not zero"
lunkit ublk del "$null"
lunkit ublk del "$ro"
[ -z "$(ls /dev/ublkb* /dev/ublkc* 2>/dev/null)" ] || fail "left: $(ls /dev/ublk*)"
assert_eq "$(find /run/lunkit/ublk -name '*.device' | wc -l)" 0 "records of devices that are gone"
stop_lunkitd
