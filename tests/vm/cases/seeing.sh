# What an operator sees of a LUN at work: latency, errors by sense, a trace of its commands, more in the log.
# usually: 6.1
# timeout: 480
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
user_lun ram r 64M r
SG=$(sg_of "$DISK")
stats() { lunkit stats --json r | jq -r ".[0]$1"; }
random_file /tank/data 4
dd if=/tank/data of="$DISK" bs=4k count=256 oflag=direct status=none
dd if="$DISK" bs=4k count=256 iflag=direct status=none | cmp -n 1M - /tank/data

step "latencies"
lunkit stats r
for class in read write other; do
    assert_eq "$(stats "| .${class}_latency.count == .${class}_commands")" true "$class commands have a latency"
done
[ "$(stats .write_latency.count)" -ge 256 ] || fail "too few writes"
stats '.write_latency | [.p50_ns, .p90_ns, .p99_ns, .p999_ns, .max_ns] as $times
    | if $times == ($times | sort) and $times[0] > 0 and .within[-1] == .count then "in order" else error end' |
    grep -qx 'in order'
lunkit stats --openmetrics | grep -q '^lunkit_command_latency_seconds_bucket{.*operation="write",le="+Inf"}'

step "errors by sense"
before=$(stats '.error_counts["05/21/00"] // 0')
sense 'Illegal Request' 'Logical block address out of range' sg_raw -r 512 "$SG" 28 00 7f ff ff ff 00 00 01 00
assert_eq "$(stats '.error_counts["05/21/00"]')" $((before + 1)) "reads beyond the end"
assert_eq "$(stats '| (.error_counts | add) == .errors')" true "errors of all kinds are all errors"

step "a trace"
# begin_trace OPTION...: a trace in the background, $tracer, that has begun.
traces=0
begin_trace() {
    lunkit trace "$@" r >/tank/traced 2>/tank/said &
    tracer=$!
    traces=$((traces + 1))
    wait_for 10 "the trace" eval '[ "$(lunkitd_log | grep -c "is being traced")" = $traces ]'
}
begin_trace --json --count 2 --only 0x28,0x12
assert_fails "a second trace" lunkit trace --count 1 r
assert_match "$output" 'already' "a second trace"
sg_raw -r 96 "$SG" 12 00 00 00 60 00 >/dev/null 2>&1
sg_raw -r 4096 "$SG" 28 00 00 00 00 40 00 00 08 00 >/dev/null 2>&1
wait "$tracer"
cat /tank/traced
assert_eq "$(jq -r .command /tank/traced | paste -sd,)" 'INQUIRY,READ(10)' "commands traced"
assert_eq "$(jq -r 'select(.lba) | "\(.lba) \(.blocks) \(.bytes) \(.result)"' /tank/traced)" "64 8 4096 GOOD" "the read"
begin_trace --count 1 --only error
sg_raw -r 512 "$SG" 28 00 7f ff ff ff 00 00 01 00 >/dev/null 2>&1 || :
wait "$tracer"
assert_match "$(cat /tank/traced)" 'READ\(10\) +lba 2147483647 blocks +1 .* 05/21/00 ILLEGAL REQUEST' "the failed read"

step "a reader that stops loses commands, and none of them waits"
begin_trace --only error
kill -STOP "$tracer"
dd if=/tank/data of="$DISK" bs=512 oflag=direct status=none  # more than wait in the daemon and on the way
kill -CONT "$tracer"
wait_for 40 "word of what was lost" eval 'dd if="$DISK" of=/dev/null bs=4k count=1 iflag=direct status=none
    grep -q "commands are missing here" /tank/said'
kill "$tracer"
cat /tank/said

step "a capture, which a signal ends"
lunkit trace --only 0x28 --write /tank/capture r & tracer=$!
traces=$((traces + 1))
wait_for 10 "the trace" eval '[ "$(lunkitd_log | grep -c "is being traced")" = $traces ]'
sg_raw -r 4096 "$SG" 28 00 00 00 00 40 00 00 08 00 >/dev/null 2>&1
wait_for 10 "the commands" eval '[ "$(stat -c %s /tank/capture)" -gt 500 ]'
kill -TERM $tracer
wait $tracer
assert_eq "$(stat -c %a /tank/capture)" 600 "mode of the capture"
words=$(od -An -v -tx4 -w4 /tank/capture)
assert_eq "$(head -n 1 <<<"$words")" ' 0a0d0d0a' "first word"
bytes=$(od -An -v -tx1 /tank/capture | tr -d ' \n')
assert_match "$bytes" 2800000000400000080000 "the CDB of the read"
length=$((0x$(tail -n 1 <<<"$words" | tr -d ' ')))    # of the last block, which tells what was lost
assert_eq "${bytes: -2*length:8}" 05000000 "type of the last block"

step "more in the log, for one device and then for none"
assert_eq "$(lunkit log-level)" info "level at first"
lunkit log-level r debug
assert_eq "$(lunkit log-level r)" debug "level of the device"
assert_eq "$(lunkit log-level)" "info
$(lunkit list --json | jq -r '.[0].name'): debug" "levels"
kill -HUP "$(lunkitd_pid)"
wait_for 10 "the reload" eval '[ "$(lunkit log-level r)" = info ]'
