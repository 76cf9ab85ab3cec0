# Sixteen LUNs at once, all loaded, then all removed.
# kernels: 6.1
# usually: none
# timeout: 480
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
targets_ok < <(
    for i in {1..16}; do
        if [ $((i % 2)) = 0 ]; then
            echo "/backstores/user:file create name=d$i size=16M cfgstring=/tank/d$i"
            loopback_lines "/backstores/user:file/d$i"
        else
            echo "/backstores/user:ram create name=d$i size=16M cfgstring=r$i"
            loopback_lines "/backstores/user:ram/d$i"
        fi
    done
)
assert_eq "$(lunkit list | grep -c -w -E 'd[0-9]+')" 16 "devices in lunkit list"
threads=$(ls "/proc/$(lunkitd_pid)/task" | wc -l)
echo "$threads threads for 16 devices"
[ "$threads" -lt 32 ] || fail "$threads threads for 16 devices"

jobs=(--ioengine=libaio --direct=1 --iodepth=4 --rw=randwrite --bs=4k --size=2M --verify=crc32c --verify_fatal=1 --do_verify=1)
disks=()
for i in {1..16}; do
    disk=$(loop_disk_of d$i)
    disks+=("$disk")
    jobs+=(--name="d$i" --filename="$disk")
done
watch_errors "${disks[@]}"
fio --thread --minimal "${jobs[@]}" >/dev/null
assert_no_errors

step "remove"
targets_ok <<<'clearconfig confirm=True'
assert_eq "$(lunkit list | grep -c -w -E 'd[0-9]+' || :)" 0 "devices left in lunkit list"
stop_lunkitd
