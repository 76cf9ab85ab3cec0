# ublk devices outlive the daemon: under verified load of four of them it is killed at random moments, also while it takes
# its predecessor's devices over, and stopped in an orderly way in between. Users see a pause and no error.
# kernels: 6.12
# timeout: 600
. "$LUNKIT_VM/lib.sh"

KILLS=${KILLS:-5}
running() { lunkit ublk list --json | jq 'map(select(.state == "running")) | length'; }

tank ext4
start_lunkitd
truncate -s 64M /tank/disk
qemu-img create -q -f qcow2 /tank/image 64M
disks=()
for config in file//tank/disk 'file//tank/direct;direct=on' ram/r qcow//tank/image; do
    disks+=("$(lunkit ublk add "$config" --size 64M)")
done
begin_loads "${disks[@]}"

for ((kill = 1; kill <= KILLS; kill++)); do
    # Every other time the next daemon is killed as soon as it is there, which is in the middle of taking over.
    if [ $((kill % 2)) = 0 ]; then
        wait_for 60 "all devices" eval '[ "$(running)" = 4 ]'
        sleep "0.$((RANDOM % 9 + 1))"
    fi
    step "kill $kill, with $(running) devices served"
    kill_lunkitd
    loads_go_on "after kill $kill"
    start_lunkitd
    if [ $((kill % 5)) = 0 ]; then
        wait_for 60 "all devices" eval '[ "$(running)" = 4 ]'
        sleep 1
        step "an orderly stop"
        stop_lunkitd
        sleep 1
        start_lunkitd
    fi
done
wait_for 60 "all devices" eval '[ "$(running)" = 4 ]'
sleep 2
end_loads
assert_no_match "$(kernel_log)" 'I/O error|ublk_drv|WARNING|blocked for more' "kernel log"
assert_eq "$(lunkit stats --json | jq 'map(.errors) | add')" 0 "errors that the last daemon has counted"
for disk in "${disks[@]}"; do verify_load "$disk"; done

step "a daemon that dies with all tags is noticed at once"
modprobe brd rd_nr=1 rd_size=65536
dm_device slow "0 65536 linear /dev/ram0 0"
slow=$(lunkit ublk add 'file//dev/mapper/slow;direct=on')
dmsetup suspend --nolockfs --noflush slow
fio --name=all --filename="$slow" --ioengine=libaio --direct=1 --iodepth=200 --rw=randwrite --bs=4k --size=4M --minimal >/tank/fio.all 2>&1 &
load=$!
wait_for 30 "all tags with the daemon" eval '[ "$(lunkit stats "${slow##*/}" --json | jq ".[0].in_flight")" = 128 ]'
kill_lunkitd
dmsetup resume slow
before=$SECONDS
start_lunkitd
wait_for 60 "all devices" eval '[ "$(running)" = 5 ]'
took=$((SECONDS - before))
echo "served again after $took s"
[ $took -lt 15 ] || fail "it took $took s"
wait $load || fail "fio: $(cat /tank/fio.all)"

step "storage that is missing when the next daemon starts"
lunkit ublk del "$slow"
kill_lunkitd
mv /tank/disk /tank/elsewhere
start_lunkitd
wait_for 60 "the other devices" eval '[ "$(running)" = 3 ]'
wait_for 30 "its failure" eval 'lunkit ublk list | grep -q failed'
dd if="${disks[0]}" of=/tank/read bs=4k count=1 iflag=direct status=none &
reader=$!
sleep 1
mv /tank/elsewhere /tank/disk
wait_for 30 "all devices" eval '[ "$(running)" = 4 ]'
wait $reader
cmp -n 4096 /tank/read /tank/disk

step "devices that no daemon knows are removed by name"
kill_lunkitd
rm /run/lunkit/ublk/*.device
start_lunkitd
assert_eq "$(running)" 0 "devices without a record"
wait_for 10 "the kernel's notice" eval '! fuser -s /dev/ublkc*'
for disk in "${disks[@]}"; do
    lunkit ublk del "$disk"
    [ ! -e "$disk" ] || fail "$disk is still there"
done
stop_lunkitd
rm -f /dev/shm/lunkit-ram-r
