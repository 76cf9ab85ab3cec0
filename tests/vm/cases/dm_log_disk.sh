# Dirty logs on disk: what is marked is there when the write goes out, the kernel's own disk log and ours take each other's
# place, and a log that is lost with its daemon comes back from disk.
# kernels: 6.12
# timeout: 480
. "$LUNKIT_VM/lib.sh"

MIB=16 REGION=2048    # 16 regions of 1 MiB
sectors=$((MIB * 2048)) regions=16
mirror_legs $MIB
truncate -s 1M /tank/log
log=$(losetup --find --show --direct-io=off /tank/log)
dm_device leg "0 $sectors linear $leg1 0"    # a leg that can be made to wait
legs="2 $leg0 0 /dev/mapper/leg 0 1 handle_errors"
in_sync() { dmsetup status mir | grep -q " ${1:-$regions}/$regions 1 AA "; }
compare_legs() { cmp /tank/leg0 /tank/leg1 || fail "the legs differ: $1"; }
bitmap() { od -An -tx1 -j 1024 -N "${2:-2}" "$1" | tr -d ' '; }
start_lunkitd

step "on a block device"
dm_device mir "0 $sectors mirror userspace 4 uuid-mir disk $log $REGION $legs"
wait_for 60 "the resync" in_sync
compare_legs "after the resync"
assert_eq "$(od -An -tx1 -N 16 /tank/log | tr -d ' ')" 7252694d020000001000000000000000 "header of the log"
wait_for 10 "a clean log" eval '[ "$(bitmap /tank/log)" = ffff ]'
assert_match "$(dmsetup status mir)" "AA 3 disk $(cat "/sys/block/${log##*/}/dev") A" "status"
assert_match "$(dmsetup deps mir)" '^3 dependencies' "devices that dm has claimed"
assert_fails "the log of another mirror" dmsetup create other --table "0 $sectors mirror userspace 4 uuid-other disk $log $REGION $legs"
log_says "uuid-other.*is the log of 'uuid-mir'" || fail "no word about the other mirror"

step "a region is marked on disk before it is written, and stays so when the daemon dies"
dmsetup suspend --nolockfs leg    # what goes to this leg waits
dd if=/dev/urandom of=/dev/mapper/mir bs=64k seek=50 count=1 oflag=direct status=none &
writer=$!
wait_for 10 "region 3 marked" eval '[ "$(bitmap /tank/log)" = f7ff ]'
kill_lunkitd
assert_eq "$(bitmap /tank/log)" f7ff "log on disk while no daemon is there"
start_lunkitd
wait_for 10 "the log to be open again" eval '[ "$(lunkit dm-log list --json | jq -r ".[0].state")" = running ]'
assert_eq "$(lunkit dm-log list --json | jq '.[0].regions_dirty')" 1 "dirty regions that the successor knows"
assert_eq "$(bitmap /tank/log)" f7ff "log on disk of the successor"
[ -d /proc/$writer ] || fail "the write has ended without its leg"
dmsetup resume leg
wait $writer
wait_for 10 "a clean log" eval '[ "$(bitmap /tank/log)" = ffff ]'
in_sync || fail "out of sync: $(dmsetup status mir)"
compare_legs "after a write"

step "the daemon is killed under load"
fio --name=load --filename=/dev/mapper/mir --ioengine=libaio --direct=1 --iodepth=16 --rw=randwrite --bs=4k --size=8M \
    --verify=crc32c --verify_fatal=1 --do_verify=1 --randseed=7 --loops=4 --minimal >/tank/fio 2>&1 &
load=$!
for round in 1 2; do
    sleep "1.$((RANDOM % 9))"
    [ -d /proc/$load ] || fail "the load ended before kill $round"
    kill_lunkitd
    start_lunkitd
done
wait $load || fail "the load failed: $(tail -n 5 /tank/fio)"
in_sync || fail "out of sync: $(dmsetup status mir)"
compare_legs "after kills under load"

step "killed with its state lost: the log on disk says what is in sync"
wait_for 10 "a clean log" eval '[ "$(bitmap /tank/log)" = ffff ]'
kill_lunkitd
rm -r /run/lunkit/dm_log
start_lunkitd
dd if=/dev/urandom of=/dev/mapper/mir bs=4k count=1 oflag=direct status=none
in_sync || fail "the disk log was not read: $(dmsetup status mir)"
compare_legs "after the loss of the state"

step "the kernel's disk log goes on with ours"
dmsetup remove --retry mir
assert_eq "$(bitmap /tank/log)" ffff "log that was left"
printf '\xef' | dd of=/tank/log bs=1 seek=1024 conv=notrunc status=none    # region 4 was being written in a crash
dd if=/dev/urandom of=/tank/leg1 bs=1M seek=4 count=1 conv=notrunc status=none
dm_device mir "0 $sectors mirror disk 2 $log $REGION $legs"
assert_no_match "$(dmsetup status mir)" " [0-9]/16 | 1[0-4]/16 " "more than one region to copy"
wait_for 60 "the kernel's resync" eval 'dmsetup status mir | grep -q " 16/16 "'
compare_legs "after the kernel's resync"
dd if=/dev/urandom of=/dev/mapper/mir bs=4k count=1 oflag=direct status=none
dmsetup remove --retry mir

step "ours goes on with the kernel's, by a reload too"
dm_device mir "0 $sectors mirror disk 2 $log $REGION $legs"
dmsetup reload mir --table "0 $sectors mirror userspace 5 uuid-mir integrated_flush disk $log $REGION $legs"
dmsetup resume mir
in_sync || in_sync 15 || fail "the log was not taken over: $(dmsetup status mir)"
wait_for 60 "the resync" in_sync
compare_legs "after the take-over"
verify_load /dev/mapper/mir --size=8M
compare_legs "after writes"
dmsetup remove --retry mir

step "in a file; hostile contents"
truncate -s 4096 /tank/file
dm_device mir "0 $sectors mirror userspace 6 uuid-mir integrated_flush disk /tank/file $REGION nosync $legs"
in_sync || fail "nosync begins a resync"
verify_load /dev/mapper/mir --size=4M
dmsetup remove --retry mir
assert_eq "$(bitmap /tank/file)" ffff "log in a file"
printf '\x07' | dd of=/tank/file bs=1 seek=4 conv=notrunc status=none
assert_fails "a version of later days" dmsetup create mir --table "0 $sectors mirror userspace 4 uuid-mir disk /tank/file $REGION $legs"
log_says '/tank/file: its disk log has version 7' || fail "no word about the version"
truncate -s 1026 /tank/file
assert_fails "a file that is too short" dmsetup create mir --table "0 $sectors mirror userspace 4 uuid-mir disk /tank/file $REGION $legs"
log_says '/tank/file has 1026 bytes' || fail "no word about the size"
ln -sf /dev/null /tank/link
assert_fails "a link to a character device" dmsetup create mir --table "0 $sectors mirror userspace 4 uuid-mir disk /tank/link $REGION $legs"
head -c 4096 /dev/urandom >/tank/file
dm_device mir "0 $sectors mirror userspace 4 uuid-mir disk /tank/file $REGION $legs"
wait_for 60 "the resync of a log that was none" in_sync
compare_legs "after all"
dmsetup remove --retry mir
dmsetup remove --retry leg
stop_lunkitd
