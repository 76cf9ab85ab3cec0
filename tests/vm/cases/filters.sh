# Filters in front of handlers: read-only, a throttle, errors switched on and off by a file, a part of a file, a delay that a
# stop of the daemon ends; and of a ublk device.
# kernels: 6.12
# timeout: 240
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
truncate -s 16M /tank/ro /tank/err
random_file /tank/whole 8
cp /tank/whole /tank/before

step "a wrong key"
assert_fails "a key that is none" lunkit check 'ram/x;filter.delay.raed=5ms'
assert_match "$output" "unknown key 'filter.delay.raed'" "what check says"
lunkit check 'ram/x;filter.delay.read=5ms'

targets_ok < <(
    echo '/backstores/user:file create name=ro size=16M cfgstring=/tank/ro;filter.readonly=on'
    echo '/backstores/user:ram create name=slow size=16M cfgstring=slow;filter.trace=on;filter.throttle.iops=200;filter.delay.write=25s'
    echo '/backstores/user:file create name=err size=16M' \
        'cfgstring=/tank/err;filter.error.rate=100%;filter.error.op=write;filter.error.kind=ENOSPC;filter.error.file=/tank/fail'
    echo '/backstores/user:file create name=part size=4M cfgstring=/tank/whole;filter.offset=1M;filter.size=4M'
    loopback_lines /backstores/user:file/{ro,err,part} /backstores/user:ram/slow
)
head -c 4096 /tank/whole >/tank/eight

step "read-only: WRITE PROTECTED"
disk=$(loop_disk_of ro)
assert_eq "$(blockdev --getro "$disk")" 1 "read only"
sense 'Data Protect' 'Write protected' sg_raw -s 4096 -i /tank/eight "$(sg_of "$disk")" 2a 00 00 00 00 00 00 00 08 00

step "throttle: 200 requests a second"
# A machine that is busy may have it miss some, but never do more.
iops=$(fio --name=slow --filename="$(loop_disk_of slow)" --ioengine=libaio --direct=1 --iodepth=64 --rw=randread --bs=4k \
    --time_based --runtime=4 --output-format=json | jq '.jobs[0].read.iops | round')
echo "$iops requests a second"
[ "$iops" -ge 20 ] && [ "$iops" -le 210 ] || fail "$iops requests a second instead of 200"

step "errors, while the file is there: SPACE ALLOCATION FAILED WRITE PROTECT"
SG=$(sg_of "$(loop_disk_of err)")
write_eight() { sg_raw -s 4096 -i /tank/eight "$SG" 2a 00 00 00 00 08 00 00 08 00; }
write_eight
touch /tank/fail
sleep 0.2
sense 'Data Protect' 'Space allocation failed write protect' write_eight
cdb_in 4096 28 00 00 00 00 08 00 00 08 00 | cmp - /tank/eight
rm /tank/fail
sleep 0.2
write_eight

step "a part: its bytes and no others"
disk=$(loop_disk_of part)
assert_eq "$(blockdev --getsize64 "$disk")" $((4 << 20)) "size"
cmp -n $((4 << 20)) "$disk" /tank/before 0 1M
dd if=/dev/zero of="$disk" bs=1M count=4 oflag=direct conv=fsync status=none
cmp -n 1M /tank/whole /tank/before
assert_eq "$(dd if=/tank/whole bs=1M skip=1 count=4 status=none | tr -d '\0' | wc -c)" 0 "bytes of the part that are not written"
cmp /tank/whole /tank/before 5M 5M

step "a delay ends when the daemon stops"
disk=$(loop_disk_of slow)
dd if=/tank/eight of="$disk" bs=4096 count=1 oflag=direct status=none &
write=$!
wait_for 20 "the write to be on its way" grep -q ' 1$' "/sys/block/${disk##*/}/inflight"
sleep 0.5
[ -d /proc/$write ] || fail "the write was not delayed"
before=$SECONDS
stop_lunkitd
[ $((SECONDS - before)) -le 20 ] || fail "the stop took $((SECONDS - before)) s"
log_says 'slow.*write 4096 bytes at 0' || fail "no trace of the write"
start_lunkitd
wait $write
wait_for 20 "the disk" eval '[ "$(lunkit show slow --json | jq -r .state)" = running ]'
cmp -n 4096 "$(loop_disk_of slow)" /tank/eight

step "ublk"
disk=$(lunkit ublk add 'file//tank/before;filter.offset=4M;filter.readonly=on')
assert_eq "$(blockdev --getro "$disk")" 1 "read only"
cmp "$disk" /tank/before 0 4M
slow=$(lunkit ublk add 'ram/u;filter.throttle.rate=4M' --size 16M)
start=$(date +%s%N)
dd if="$slow" of=/dev/null bs=64k count=160 iflag=direct status=none
took=$((($(date +%s%N) - start) / 1000000))
echo "10 MiB at 4 MiB a second: $took ms"
[ $took -ge 2300 ] || fail "10 MiB took $took ms"
lunkit ublk del "$slow"
lunkit ublk del "$disk"

step "a wrong value is told to the user of targetcli"
assert_match "$(targets <<<'/backstores/user:ram create name=x size=1M cfgstring=x;filter.throttle.iops=many')" \
    "filter.throttle.iops: 'many' is not a number" "what targetcli says"
stop_lunkitd
