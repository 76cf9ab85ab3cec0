# dm-user targets served from file, ram and qcow. No packaged kernel has dm-user: the kernel's half is played by
# dm_user_double (CUSE, FUSE), whose devices are files. Contents, file systems, discards, the daemon stopped and killed between
# requests, the end of a target, and what is refused.
# kernels: 6.12
# timeout: 360
. "$LUNKIT_VM/lib.sh"
. "$LUNKIT_VM/dm_user_target.sh"
modprobe loop
tank
serving_threads() { ps -eLo comm | awk '/^lunkit-dmuser/ { n++ } END { print n + 0 }'; }
restart() { # restart stop|kill
    "$1_lunkitd"
    assert_fails "a read while there is no daemon" dd if=/mnt/disk/disk of=/dev/null bs=4k count=1 status=none
    start_lunkitd
    wait_for 20 "the target to be served again" is_running disk
}
through_loop() { # through_loop COMMAND...: with $disk, a block device on the target's file
    disk=$(losetup --find --show --direct-io=off "$1")
    shift
    "$@"
    losetup --detach "$disk"
}

step "a kernel without dm-user"
start_lunkitd
assert_fails "attach" lunkit dm-user attach disk null/
assert_match "$output" "this kernel has no dm-user .*Android" "what attach says"
assert_eq "$(lunkit dm-user list --json | jq length)" 0 "targets"
assert_no_match "$(lunkitd_log)" 'error:|warning:' "the log"
stop_lunkitd

step "attach: what is not there, and what is fine twice"
make_target disk $((8 << 20))
start_lunkitd
truncate -s 8M /tank/disk
assert_fails "a target that is not there" lunkit dm-user attach other file//tank/other
assert_match "$output" "there is no /dev/dm-user/other: load a table first" "what attach says"
[ ! -e /tank/other ] || fail "a file was made for a target that is not there"
assert_eq "$(lunkit dm-user attach disk file//tank/disk)" /dev/dm-user/disk "what attach prints"
assert_eq "$(lunkit dm-user attach /dev/dm-user/disk file//tank/disk)" /dev/dm-user/disk "what it prints again"
assert_match "$(lunkit dm-user list)" "disk +running +8.* /dev/dm-user/disk +file//tank/disk" "list"
assert_eq "$(find "/proc/$(lunkitd_pid)/fd" -lname /dev/dm-user/disk | wc -l)" 4 "channels"
assert_eq "$(serving_threads)" 4 "threads"

step "file: contents, discard, zeroes"
random_file /tank/data 4
random_file /tank/small 1
dd if=/tank/data of=/mnt/disk/disk bs=1M conv=notrunc,fsync status=none
cmp -n $((4 << 20)) /tank/data /tank/disk
cmp -n $((4 << 20)) /tank/data /mnt/disk/disk
[ "$(lunkit show disk --json | jq .write_bytes)" = $((4 << 20)) ] || fail "bytes written: $(lunkit show disk)"
full=$(allocated /tank/disk)
fallocate --punch-hole --offset 1M --length 1M /mnt/disk/disk
[ "$(allocated /tank/disk)" -le $((full - (1 << 20))) ] || fail "discard gave nothing back"
fallocate --zero-range --keep-size --offset 3M --length 1M /mnt/disk/disk
for at in 1 3; do
    assert_eq "$(dd if=/tank/disk bs=1M skip=$at count=1 status=none | tr -d '\0' | wc -c)" 0 "bytes left at MiB $at"
done
cmp /mnt/disk/disk /tank/disk
through_loop /mnt/disk/disk eval 'mkfs.ext4 -q -F "$disk" && mkdir -p /mnt/fs && mount "$disk" /mnt/fs &&
    cp /tank/small /mnt/fs/ && umount /mnt/fs && e2fsck -fn "$disk" && mount "$disk" /mnt/fs && cmp /mnt/fs/small /tank/small && umount /mnt/fs'
cmp /mnt/disk/disk /tank/disk

step "the daemon stops, and is killed, between requests: the next one goes on"
for how in stop kill; do
    random_file /tank/data 1
    dd if=/tank/data of=/mnt/disk/disk bs=64k conv=notrunc,fsync status=none
    restart $how
    cmp -n $((1 << 20)) /tank/data /mnt/disk/disk
done
assert_eq "$(find /run/lunkit/dm_user -name '*.target' -perm 600 | wc -l)" 1 "records"

step "detach and attach"
lunkit dm-user detach disk
assert_fails "a read of what is detached" dd if=/mnt/disk/disk of=/dev/null bs=4k count=1 status=none
assert_eq "$(lunkit dm-user detach disk)" "disk is not attached" "what a second detach says"
assert_eq "$(find "/proc/$(lunkitd_pid)/fd" -lname '/dev/dm-user/*' | wc -l)" 0 "channels left"
lunkit dm-user attach disk file//tank/disk --read-only --channels 1
cmp /mnt/disk/disk /tank/disk
assert_fails "a write" dd if=/tank/data of=/mnt/disk/disk bs=4k count=1 conv=notrunc status=none
lunkit dm-user detach /dev/dm-user/disk

step "ram, qcow"
make_target memory $((1 << 20))
lunkit dm-user attach memory ram/dm --size 1M --channels 8
dd if=/tank/small of=/mnt/memory/memory bs=64k conv=notrunc,fsync status=none
cmp /tank/small /mnt/memory/memory
qemu-img create -q -f qcow2 /tank/image 8M
lunkit dm-user attach disk qcow//tank/image
through_loop /mnt/disk/disk eval 'verify_load "$disk" --size=1M'    # each request goes through two user-space file systems
random_file /tank/data 8
dd if=/tank/data of=/mnt/disk/disk bs=1M conv=notrunc,fsync status=none
cmp /tank/data /mnt/disk/disk
assert_eq "$(lunkit dm-user list --json | jq length)" 2 "targets"
lunkit dm-user detach disk
qemu-img check -q /tank/image
assert_eq "$(qemu-img compare -f raw -F qcow2 /tank/data /tank/image)" "Images are identical." "the image"

step "a target that goes"
remove_target memory
wait_for 10 "the end of its service" eval '[ "$(lunkit dm-user list --json | jq length)" = 0 ]'
log_says 'memory.*its target has gone' || fail "no word about it"
assert_eq "$(find /run/lunkit/dm_user -name '*.target' | wc -l)" 0 "records"
assert_eq "$(serving_threads)" 0 "threads"
stop_lunkitd
remove_target disk
