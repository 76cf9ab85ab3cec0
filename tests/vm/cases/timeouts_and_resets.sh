# Storage that does not answer: the initiator's timeout (ABORT TASK), a LUN reset and the kernel's cmd_time_out meet commands
# that are stuck in the daemon. Nothing stalls: the neighbour is served, the daemon answers and stops in time, and when the
# storage is back the device works, without a restart, on data that is right.
# kernels: 6.12
# timeout: 480
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
modprobe brd rd_nr=1 rd_size=65536
dm_device stuck "0 65536 linear /dev/ram0 0"
dm_device stuck2 "0 65536 linear /dev/ram0 65536"
user_lun file stuck 32M '/dev/mapper/stuck;direct=on'
STUCK=$DISK
STUCK_ATTRIB=$(echo "$CONFIGFS"/core/user_*/stuck/attrib)
user_lun file fine 64M /tank/fine
FINE=$DISK
echo 3 >"/sys/block/${STUCK##*/}/device/timeout"
cat "$STUCK_ATTRIB/cmd_time_out" "$STUCK_ATTRIB/tmr_notification" 2>/dev/null || :
head -c 65536 /dev/zero | tr '\0' A >/tank/A
head -c 65536 /dev/zero | tr '\0' B >/tank/B

step "an abort: the write is tried again until the storage is back"
dmsetup suspend --noflush --nolockfs stuck
dd if=/tank/A of="$STUCK" bs=64k count=1 oflag=direct status=none 2>/tank/dd.log &
writer=$!
sleep 1
dd if=/tank/B of="$FINE" bs=64k count=1 oflag=direct status=none || fail "the neighbour is not served"
wait_for 30 "an ABORT TASK" log_says 'ABORT TASK'
dd if=/tank/B of="$FINE" bs=64k count=1 seek=1 oflag=direct status=none || fail "the neighbour is not served"
lunkit list | grep -q stuck || fail "lunkitd does not answer"
dmsetup resume stuck
wait $writer || fail "the write ended with an error: $(cat /tank/dd.log)"
dd if="$STUCK" bs=64k count=1 iflag=direct status=none | cmp - /tank/A

step "a LUN reset"
# Not beside an ABORT TASK: tcm_loop waits for ever for one that a reset has drained (6.12; nothing of it reaches the daemon).
echo 60 >"/sys/block/${STUCK##*/}/device/timeout"
dmsetup suspend --noflush --nolockfs stuck
dd if=/tank/B of="$STUCK" bs=64k count=1 oflag=direct status=none 2>/tank/dd.log &
writer=$!
sleep 1
timeout 60 sg_reset --device "$(sg_of "$STUCK")" &
reset=$!
sleep 2
dmsetup resume stuck
wait $reset || fail "the reset ended with status $?"
wait $writer || fail "the write ended with an error: $(cat /tank/dd.log)"
dd if="$STUCK" bs=64k count=1 iflag=direct status=none | cmp - /tank/B

step "cmd_time_out: the kernel gives the command up, the daemon completes it all the same"
targets_ok <<<'/backstores/user:file create name=timed size=32M cfgstring=/dev/mapper/stuck2;direct=on'
echo 4 >"$(echo "$CONFIGFS"/core/user_*/timed/attrib/cmd_time_out)"
targets_ok < <(loopback_lines /backstores/user:file/timed)
TIMED=$(loop_disk_of timed)
SG=$(sg_of "$TIMED")
dmsetup suspend --noflush --nolockfs stuck2
begin=$SECONDS
assert_fails "a read that times out" sg_raw -t 40 -r 512 "$SG" 28 00 00 00 00 00 00 00 01 00
[ $((SECONDS - begin)) -lt 30 ] || fail "it took $((SECONDS - begin)) s"
dmsetup resume stuck2
cdb_in 512 28 00 00 00 00 00 00 00 01 00 >/dev/null
dd if=/tank/A of="$TIMED" bs=64k count=1 oflag=direct status=none
dd if="$TIMED" bs=64k count=1 iflag=direct status=none | cmp - /tank/A

step "lunkitd stops in time, whatever is stuck"
dmsetup suspend --noflush --nolockfs stuck
dd if=/tank/A of="$STUCK" bs=64k count=1 oflag=direct status=none 2>/tank/dd.log &
writer=$!
sleep 1
pid=$(lunkitd_pid)
begin=$SECONDS
kill -TERM "$pid"
sleep 1
dmsetup resume stuck
while [ -d "/proc/$pid" ] && [ "$(ps -o stat= -p "$pid")" != Z ]; do
    [ $((SECONDS - begin)) -lt 30 ] || fail "lunkitd does not end"
    sleep 0.1
done
start_lunkitd
wait $writer || fail "the write ended with an error: $(cat /tank/dd.log)"
dd if="$STUCK" bs=64k count=1 iflag=direct status=none | cmp - /tank/A
verify_load "$STUCK"
assert_eq "$(ps -eo stat=,comm= | awk '$1 ~ /^D/ { print $2 }' | grep -v '^kworker' || :)" '' "processes in D state"
targets_ok <<<'clearconfig confirm=True'
stop_lunkitd
dmsetup remove --retry stuck
dmsetup remove --retry stuck2
