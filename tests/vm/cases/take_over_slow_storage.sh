# The daemon is killed while its write is still on the way to a slow device (dm-delay, direct=on): such a request outlives
# it. The successor waits for it before it repeats the write, so that it can never land on what is written later.
# usually: 6.1
# timeout: 240
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
modprobe brd rd_nr=1 rd_size=65536
modprobe dm_delay
dm_device slow "0 131072 delay /dev/ram0 0 0 /dev/ram0 0 3000"
user_lun file slow 64M '/dev/mapper/slow;direct=on'
SG=$(sg_of "$DISK")
dd if=/dev/zero bs=4096 count=1 status=none | tr '\0' A >/tank/A
tr A B </tank/A >/tank/B

for round in 1 2 3; do
    sg_raw -t 60 -s 4096 -i /tank/A "$SG" 2a 00 00 00 00 00 00 00 08 00 2>/tank/first &
    first=$!
    sleep 0.5
    kill_lunkitd
    begin=$(date +%s%N)
    start_lunkitd
    wait $first || fail "the write whose daemon died: $(cat /tank/first)"
    waited=$((($(date +%s%N) - begin) / 1000000))
    # What was left of the first 3 s, and 3 s for the repetition.
    [ $waited -gt 4000 ] || fail "the successor has not waited for its predecessor's request: $waited ms"
    echo "round $round: the write was answered $waited ms after the successor's start"
    sg_raw -t 60 -s 4096 -i /tank/B "$SG" 2a 00 00 00 00 00 00 00 08 00
    sleep 4
    cdb_in 4096 28 00 00 00 00 00 00 00 08 00 | cmp - /tank/B
done
assert_no_errors
log_says 'executing 1 commands that the predecessor had begun' || fail "nothing was taken over"
targets_ok <<<'clearconfig confirm=True'
stop_lunkitd
dmsetup remove --retry slow
