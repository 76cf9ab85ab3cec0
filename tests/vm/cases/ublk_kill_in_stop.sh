# The daemon is killed while the kernel stops a device of it, whose requests it has and does not end. In a daemon that sends
# STOP_DEV itself, the kernel would wait in there for requests that only the end of the process can end: for ever.
# kernels: 6.12
# timeout: 240
# allow: I/O error, dev (ublkb|dm-|ram)|Buffer I/O error on dev ublkb
. "$LUNKIT_VM/lib.sh"

tank
modprobe brd rd_nr=1 rd_size=65536
dm_device slow "0 65536 linear /dev/ram0 0"
for round in 1 2 3; do
    step "round $round"
    start_lunkitd
    disk=$(lunkit ublk add 'file//dev/mapper/slow;direct=on' --number 0)
    dmsetup suspend --nolockfs --noflush slow
    fio --name=some --filename="$disk" --ioengine=libaio --direct=1 --iodepth=16 --rw=randwrite --bs=4k --size=4M --minimal >/dev/null 2>&1 &
    load=$!
    wait_for 30 "requests with the daemon" eval '[ "$(lunkit stats ublkb0 --json | jq ".[0].in_flight")" = 16 ]'
    lunkit ublk del --force "$disk" &
    removal=$!
    wait_for 10 "the removal" eval 'lunkit ublk list | grep -q draining'
    sleep 1
    kill_lunkitd
    dmsetup resume slow
    wait $removal && fail "del said that it was done"
    start_lunkitd
    timeout 20 lunkit ublk del --force "$disk"
    wait $load || :
    [ -z "$(ls /dev/ublkb* /dev/ublkc* 2>/dev/null)" ] || fail "left: $(ls /dev/ublk*)"
    stop_lunkitd
done
step "the host's ublk lives"
start_lunkitd
lunkit ublk del "$(lunkit ublk add null/)"
stop_lunkitd
