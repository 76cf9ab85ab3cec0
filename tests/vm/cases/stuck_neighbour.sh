# A LUN whose storage hangs (a suspended device-mapper device) does not slow another LUN, nor targetcli, and comes back.
# usually: 6.1
# timeout: 300
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
modprobe brd rd_nr=1 rd_size=65536
dm_device slow "0 131072 linear /dev/ram0 0"
targets_ok < <(
    echo '/backstores/user:file create name=slow size=64M cfgstring=/dev/mapper/slow;direct=on'
    echo '/backstores/user:file create name=fast size=64M cfgstring=/tank/fast'
    loopback_lines /backstores/user:file/slow /backstores/user:file/fast
)
slow=$(loop_disk_of slow)
fast=$(loop_disk_of fast)
watch_errors "$slow" "$fast"
# worst_ms: the slowest 4 KiB write to the fast disk within 3 s, at depth 4.
worst_ms() {
    fio --name=x --filename="$fast" --ioengine=libaio --direct=1 --iodepth=4 --rw=randwrite --bs=4k --time_based --runtime=3 \
        --output-format=json | jq '.jobs[0].write.clat_ns.max / 1000000 | floor'
}
alone=$(worst_ms)
# list_seconds: what a listing of the backstores takes.
list_seconds() {
    local start=$SECONDS
    assert_match "$(targets <<<'ls /backstores')" 'user:file' "targetcli"
    echo $((SECONDS - start))
}
list_alone=$(list_seconds)

dmsetup suspend --nolockfs slow
# More than the daemon has queues or workers, as a real stuck disk would bring.
fio --name=stuck --filename="$slow" --ioengine=libaio --direct=1 --iodepth=64 --rw=randwrite --bs=4k --size=4M --verify=crc32c \
    --do_verify=1 --minimal >/tank/fio.out 2>&1 &
load=$!
sleep 1
beside=$(worst_ms)
echo "slowest write of the fast LUN: $alone ms alone, $beside ms beside the stuck one"
[ "$beside" -lt 2000 ] || fail "the neighbour waited $beside ms"
step "management beside the stuck LUN"
assert_match "$(timeout 20 lunkit list)" 'slow' "lunkit list"
list_beside=$(list_seconds)
[ "$list_beside" -lt $((list_alone * 3 + 10)) ] || fail "targetcli took $list_beside s, alone $list_alone s"

step "resume"
dmsetup resume slow
wait $load || fail "fio on the slow disk: $(cat /tank/fio.out)"
assert_no_errors
targets_ok <<<'clearconfig confirm=True'
dmsetup remove --retry slow
stop_lunkitd
