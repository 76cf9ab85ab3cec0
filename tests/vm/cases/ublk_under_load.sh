# ublk devices that are removed while they are used: del under I/O, also after a stop of the daemon under I/O.
# kernels: 6.12
# timeout: 360
# allow: I/O error, dev ublkb|Buffer I/O error on dev ublkb
. "$LUNKIT_VM/lib.sh"

tank
truncate -s 64M /tank/disk
load() { # load DISK: until it fails
    fio --name=load --filename="$1" --ioengine=libaio --direct=1 --iodepth=32 --rw=randrw --bs=4k --time_based --runtime=60 \
        --minimal >/dev/null 2>&1 &
    LOAD=$!
    wait_for 30 "I/O" eval '[ "$(lunkit stats ublkb0 --json | jq ".[0].write_commands")" -gt 200 ]'
}
start_lunkitd

for round in 1 2 3; do
    step "del under I/O, round $round"
    disk=$(lunkit ublk add file//tank/disk --number 0)
    load "$disk"
    timeout 20 lunkit ublk del "$disk"
    [ ! -e "$disk" ] || fail "$disk is still there"
    wait $LOAD || :
done

step "the daemon goes on: the same number again"
disk=$(lunkit ublk add file//tank/disk --number 0)
verify_load "$disk"

step "stop of the daemon under I/O: it goes on with the next"
load "$disk"
stop_lunkitd
[ -d /proc/$LOAD ] || fail "the load ended with the daemon"
start_lunkitd
wait_for 30 "I/O" eval '[ "$(lunkit stats ublkb0 --json | jq ".[0].write_commands")" -gt 200 ]'
[ -d /proc/$LOAD ] || fail "the load ended with the next daemon"
timeout 20 lunkit ublk del "$disk"
wait $LOAD || :
[ -z "$(ls /dev/ublkb* /dev/ublkc* 2>/dev/null)" ] || fail "left: $(ls /dev/ublk*)"
stop_lunkitd
qemu-io -f raw -c 'read 0 4k' /tank/disk >/dev/null
