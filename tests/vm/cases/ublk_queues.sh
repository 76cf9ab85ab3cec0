# ublk devices with two hardware queues: served by two threads, verified under load from both CPUs, and taken over by the next
# daemon whenever one is killed; one whose daemon has died between its queues is removed.
# kernels: 6.12
# usually: none
# timeout: 480
# allow: I/O error, dev ublkb|Buffer I/O error on dev ublkb
. "$LUNKIT_VM/lib.sh"

running() { lunkit ublk list --json | jq 'map(select(.state == "running")) | length'; }
queues_of() { find "/sys/block/${1##*/}/mq" -mindepth 1 -maxdepth 1 | wc -l; }

[ "$(nproc)" -ge 2 ] || skip "one CPU"
tank ext4
start_lunkitd
truncate -s 64M /tank/disk
disk=$(lunkit ublk add file//tank/disk --number 0 --queues 2)
ram=$(lunkit ublk add ram/r --number 1 --size 64M --queues 2)
many=$(lunkit ublk add null/ --number 2 --queues 4096)
assert_eq "$(queues_of "$disk")" 2 "hardware queues"
assert_eq "$(queues_of "$many")" "$(nproc)" "hardware queues, of as many as can be"
lunkit ublk del "$many"
qemu-img create -q -f qcow2 /tank/image 64M
assert_fails "two queues of an image" lunkit ublk add qcow//tank/image --queues 2
assert_match "$output" 'one queue' "what add says"
assert_eq "$(find /sys/block -name 'ublkb*' | wc -l)" 2 "devices"

step "each CPU's requests go through a thread of their own"
spent() { # ticks that each ublk thread of the daemon has run
    for task in /proc/"$(lunkitd_pid)"/task/*; do
        if grep -q '^lunkit-ublk' "$task/comm"; then awk '{ print $14 + $15 }' "$task/stat"; fi
    done
}
fio --name=both --filename="$disk" --ioengine=libaio --direct=1 --iodepth=16 --rw=randread --bs=4k --numjobs=2 --cpus_allowed=0,1 \
    --cpus_allowed_policy=split --time_based --runtime=3 --minimal >/dev/null
busy=$(spent | awk '$1 > 20' | wc -l)
[ "$busy" -ge 2 ] || fail "ticks of the ublk threads: $(spent | tr '\n' ' ')"
verify_load "$disk"
verify_load "$ram" --cpus_allowed=1

step "kills under load"
begin_loads "$disk" "$ram"
for kill in 1 2 3; do
    step "kill $kill"
    kill_lunkitd
    loads_go_on "after kill $kill"
    start_lunkitd
    # Not sooner: a daemon that dies between the queues of a device costs the device (below).
    wait_for 60 "both devices" eval '[ "$(running)" = 2 ]'
    sleep "0.$((RANDOM % 9 + 1))"
done
step "an orderly stop"
stop_lunkitd
loads_go_on "after the stop"
start_lunkitd
wait_for 60 "both devices" eval '[ "$(running)" = 2 ]'
sleep 1
end_loads
assert_no_match "$(kernel_log)" 'I/O error|WARNING|blocked for more' "kernel log"
assert_eq "$(find /run/lunkit/ublk -name '*.fetching' | wc -l)" 0 "marks that are left"
verify_load "$disk"

step "kills while it takes devices over: each device is served in the end, or has gone, and the kernel is sound"
for kill in 1 2 3 4; do
    kill_lunkitd
    lunkitd --foreground >>$LUNKITD_LOG 2>&1 &
    LUNKITD_PID=$!
    wait_for 20 "the daemon's end of its start" eval '[ "$(grep -c "is ready" $LUNKITD_LOG)" -ge $((5 + kill)) ]'
done
settled() { ! lunkit ublk list --json | jq -r '.[].state' | grep -q -v running; }
wait_for 30 "lunkitd on D-Bus" bus_name_taken
wait_for 60 "devices that come or go" settled
echo "left: $(running) of 2"
for number in 0 1; do
    [ -e /dev/ublkb$number ] || log_says "ublkb$number: the last daemon died while it recovered" || fail "ublkb$number went for another reason"
    lunkit ublk del $number
done
disk=$(lunkit ublk add file//tank/disk --number 0 --queues 2)
ram=$(lunkit ublk add ram/r --number 1 --size 64M --queues 2)
verify_load "$disk"
verify_load "$ram"

step "a daemon that has died between the queues of a device"
kill_lunkitd
# Its mark says so; that the kernel cannot do it again is known, and would take the guest with it.
record=$(grep -l ram/r /run/lunkit/ublk/*.device)
: >"${record%.device}.fetching"
start_lunkitd
wait_for 20 "the end of $ram" eval '[ ! -e "$ram" ]'
wait_for 20 "the other" eval '[ "$(running)" = 1 ]'
log_says 'died while it recovered its 2 queues' || fail "the log does not say why"
assert_eq "$(find /run/lunkit/ublk -type f | wc -l)" 1 "records"
ram=$(lunkit ublk add ram/r --number 1 --size 64M --queues 2)
verify_load "$ram"
lunkit ublk del "$disk"
lunkit ublk del "$ram"
stop_lunkitd
rm -f /dev/shm/lunkit-ram-r
