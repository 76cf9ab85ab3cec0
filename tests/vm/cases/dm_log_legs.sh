# A mirror with lunkitd's dirty log grows, shrinks, and loses a leg and gets it back, with the daemon killed meanwhile; after
# each the legs are compared byte by byte.
# kernels: 6.12
# timeout: 480
. "$LUNKIT_VM/lib.sh"

MIB=24 REGION=128    # regions of 64 KiB
mirror_legs $MIB
truncate -s 1M /tank/log
dm_device leg "0 $((MIB * 2048)) linear $leg1 0"    # a leg that can fail
# table MIB LOG: of that size; "core" or "disk FILE".
table() { echo "0 $(($1 * 2048)) mirror userspace $(($(wc -w <<<"$2") + 3)) uuid-mir integrated_flush $2 $REGION 2 $leg0 0 /dev/mapper/leg 0 1 handle_errors"; }
status_is() { dmsetup status mir | grep -q " $(($1 * 16))/$(($1 * 16)) 1 AA "; }    # status_is MIB: all in sync
compare_legs() { cmp -n $(($1 * 1048576)) /tank/leg0 /tank/leg1 || fail "the legs differ: $2"; }
log_value() { lunkit dm-log list --json | jq ".[0].$1"; }
# change MIB LOG: another table in place of the one that is used, as lvextend and lvreduce do.
change() {
    dmsetup reload mir --table "$(table "$1" "$2")"
    dmsetup suspend mir
    dmsetup resume mir
}
start_lunkitd

for log in core "disk /tank/log"; do
    step "$log: grow, with the new end out of sync"
    random_file /tank/leg0 $MIB
    dm_device mir "$(table 16 "$log")"
    wait_for 60 "the resync" status_is 16
    compare_legs 16 "before growing"
    change 24 "$log"
    assert_eq "$(log_value regions)" $((24 * 16)) "regions after growing"
    [ "$(log_value regions_in_sync)" -ge $((16 * 16)) ] || fail "growing forgot what was in sync: $(log_value regions_in_sync)"
    wait_for 60 "the resync of the new end" status_is 24
    compare_legs 24 "after growing"
    verify_load /dev/mapper/mir --size=4M --offset=14M
    compare_legs 24 "after writes across the old end"

    step "$log: shrink"
    change 8 "$log"
    status_is 8 || fail "shrinking began a resync: $(dmsetup status mir)"
    assert_eq "$(log_value regions)" $((8 * 16)) "regions after shrinking"
    verify_load /dev/mapper/mir --size=4M
    compare_legs 8 "after shrinking"

    step "$log: a leg fails, the write is held, and the daemon is killed"
    dmsetup suspend --nolockfs leg
    dmsetup reload leg --table "0 $((MIB * 2048)) error"
    dmsetup resume leg
    dd if=/dev/urandom of=/dev/mapper/mir bs=64k seek=50 count=1 oflag=direct status=none & writer=$!
    wait_for 20 "the failed leg" eval 'dmsetup status mir | grep -q " AD "'
    wait_for 10 "region 50 out of sync" eval '[ "$(log_value regions_in_sync)" = 127 ]'
    assert_match "$(lunkit dm-log dump uuid-mir)" ' 50 +50 +1  not in sync' "dm-log dump"
    kill_lunkitd
    start_lunkitd
    assert_eq "$(log_value regions_in_sync)" 127 "regions in sync that the successor knows"

    step "$log: the leg is back: what it missed is copied"
    dmsetup suspend --nolockfs leg
    dmsetup reload leg --table "0 $((MIB * 2048)) linear $leg1 0"
    dmsetup resume leg
    dmsetup reload mir --table "$(table 8 "$log")"
    dmsetup suspend --noflush mir
    dmsetup resume mir
    wait $writer || fail "the write that was held failed"
    wait_for 60 "the resync" status_is 8
    compare_legs 8 "after the failure"
    dmsetup remove --retry mir
done
dmsetup remove --retry leg
assert_eq "$(lunkit dm-log list)" "no dirty logs" "logs at the end"
stop_lunkitd
