# A mirror of device-mapper whose dirty log lunkitd keeps: resync, writes, suspend and reload, the daemon killed in the
# middle of each; after each the legs are compared byte by byte. What is wrong with a table is told.
# usually: 6.1
# timeout: 600
. "$LUNKIT_VM/lib.sh"

MIB=24 REGION=128    # 384 regions of 64 KiB
sectors=$((MIB * 2048)) regions=$((MIB * 2048 / REGION))
mirror_legs $MIB
table() { echo "0 ${2:-$sectors} mirror userspace $1 2 $leg0 0 $leg1 0 1 handle_errors"; }    # table "ARGS UUID LOG" [SECTORS]
in_sync() { dmsetup status mir | grep -q " ${1:-$regions}/${1:-$regions} 1 AA "; }
compare_legs() {
    cmp /tank/leg0 /tank/leg1 || fail "the legs differ: $1"
    wait_for 10 "all regions clean: $1" eval '[ "$(log_value regions_dirty)" = 0 ]'
}
log_value() { lunkit dm-log list --json | jq ".[0].$1"; }
restart_lunkitd() {
    kill_lunkitd
    start_lunkitd
}
start_lunkitd
assert_eq "$(ps -eLo comm | grep -c lunkit-dm-log)" 1 "threads for logs"

step "tables that are refused"
assert_fails "an unknown kind of log" dmsetup create bad --table "$(table '3 uuid-bad frobnicate 128')"
log_says "uuid-bad.*'frobnicate' is no kind of log: core and disk are" || fail "no word about the kind"
assert_fails "a region size that is no power of two" dmsetup create bad --table "$(table '3 uuid-bad core 1000')"
log_says 'uuid-bad.*region size of 1000 sectors: it must be a power of two' || fail "no word about the region size"
assert_fails "a log file that is missing" dmsetup create bad --table "$(table '4 uuid-bad disk /tank/missing 128')"
log_says 'uuid-bad.*/tank/missing: No such file' || fail "no word about the file"
assert_eq "$(lunkit dm-log list)" "no dirty logs" "logs"

step "resync"
dm_device mir "$(table '4 uuid-mir integrated_flush core 128')"
wait_for 60 "the resync" in_sync
compare_legs "after the resync"
assert_match "$(dmsetup status mir)" "AA 1 core" "status"
assert_match "$(dmsetup table mir)" "userspace 4 uuid-mir integrated_flush core 128 2" "table"
assert_match "$(lunkit dm-log list)" "uuid-mir +running +24.* 64 KiB +$regions +$regions +0 +core 128" "dm-log list"
verify_load /dev/mapper/mir
compare_legs "after writes"

step "the daemon is replaced between two writes: the kernel does not notice"
for round in 1 2 3; do
    dd if=/dev/urandom of=/dev/mapper/mir bs=4k count=1 seek=$((round * 100)) oflag=direct status=none
    restart_lunkitd
    dd if=/dev/urandom of=/dev/mapper/mir bs=4k count=1 seek=$((round * 100 + 50)) oflag=direct status=none
    in_sync || fail "out of sync after the restart: $(dmsetup status mir)"
    compare_legs "after restart $round"
done

step "killed under load: writes wait, and none fails"
fio --name=load --filename=/dev/mapper/mir --ioengine=libaio --direct=1 --iodepth=16 --rw=randwrite --bsrange=4k-64k --size=16M \
    --verify=crc32c --verify_fatal=1 --do_verify=1 --randseed=11 --loops=8 --minimal >/tank/fio 2>&1 &
load=$!
for round in 1 2 3; do
    sleep "1.$((RANDOM % 9))"
    [ -d /proc/$load ] || fail "the load ended before kill $round"
    restart_lunkitd
done
wait $load || fail "the load failed: $(tail -n 5 /tank/fio)"
wait_for 60 "all regions in sync" in_sync
compare_legs "after kills under load"

step "a write while no daemon is there"
kill_lunkitd
dd if=/dev/urandom of=/dev/mapper/mir bs=64k count=4 oflag=direct status=none &
writer=$!
sleep 2
[ -d /proc/$writer ] || fail "the write did not wait"
start_lunkitd
wait $writer
in_sync || fail "out of sync: $(dmsetup status mir)"
compare_legs "after a write that waited"

step "the state of the daemon is lost: nothing passes for in sync, and another load of the table mends it"
kill_lunkitd
rm -r /run/lunkit/dm_log
start_lunkitd
dd if=/dev/urandom of=/dev/mapper/mir bs=64k count=4 seek=20 oflag=direct status=none
log_says 'uuid-mir.*unknown here.*load its table again' || fail "no word about the lost log"
assert_eq "$(log_value state)" '"failed"' "state of the lost log"
assert_match "$(lunkit dm-log show uuid-mir)" 'load its table again' "dm-log show"
! cmp -s /tank/leg0 /tank/leg1 || fail "the kernel wrote both legs of regions that it was told are out of sync"
dmsetup table mir | dmsetup load mir
dmsetup suspend mir
dmsetup resume mir
# Only now: the kernel would read the other leg of a mirror that it has seen in sync.
wait_for 60 "the resync" in_sync
assert_eq "$(log_value state)" '"running"' "state of the log of the new table"
compare_legs "after the loss of the state"

step "suspend and resume"
dmsetup suspend mir
dmsetup resume mir
in_sync || fail "a resume began a resync: $(dmsetup status mir)"
verify_load /dev/mapper/mir --size=4M
compare_legs "after suspend and resume"

step "another table goes on with what is known; the word sync copies all"
dmsetup reload mir --table "$(table '5 uuid-mir core 128 nosync block_on_error')"
dmsetup resume mir
wait_for 10 "a log" eval '[ "$(log_value config)" = "\"core 128 nosync block_on_error\"" ]'
in_sync || fail "the reload began a resync: $(dmsetup status mir)"
assert_eq "$(lunkit dm-log list --json | jq length)" 1 "logs"
verify_load /dev/mapper/mir --size=4M
compare_legs "after a reload"
dmsetup reload mir --table "$(table '4 uuid-mir core 128 sync')"
dmsetup resume mir
! in_sync || fail "no resync although the table says sync"
wait_for 60 "the resync" in_sync
compare_legs "after a resync that was asked for"

step "killed during a resync"
dmsetup remove --retry mir
random_file /tank/leg1 $MIB
random_file /tank/leg0 $MIB
dm_device mir "$(table '4 uuid-mir integrated_flush core 128')"
restart_lunkitd
known=$(lunkitd_log | sed -nE "s/.*uuid-mir.*going on with the dirty log: ([0-9]+) of $regions regions.*/\\1/p" | tail -n 1)
[ "${known:?no successor went on}" -lt $regions ] || fail "the resync had ended before the kill"
wait_for 90 "the resync" in_sync
compare_legs "after a kill during the resync"

step "removed while no daemon is there"
sleep 4    # with integrated_flush the kernel owes a flush for three seconds, and waits for a daemon to take it
kill_lunkitd
dmsetup remove --retry mir
start_lunkitd
assert_eq "$(lunkit dm-log list)" "no dirty logs" "logs after a remove that nobody heard of"
log_says 'uuid-mir.*the mirror of the dirty log is gone' || fail "no word about the mirror that is gone"

step "the end"
dm_device mir "$(table '4 uuid-mir core 128 nosync')"
dmsetup remove --retry mir
assert_eq "$(lunkit dm-log list)" "no dirty logs" "logs at the end"
assert_eq "$(ls /run/lunkit/dm_log)" '' "state left"
stop_lunkitd
