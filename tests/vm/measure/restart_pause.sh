# How long initiators wait while lunkitd is restarted: one device, then 64. What the second takes more is the cost of the
# devices; the rest is the end and the start of a process. Times are printed, not judged.
# timeout: 500
. "$LUNKIT_VM/lib.sh"

HBA=$CONFIGFS/core/user_88
TPG=$CONFIGFS/loopback/naa.6001405000000088/tpgt_1
# export_device N: a RAM disk and a LUN of it, by configfs alone.
export_device() {
    mkdir "$HBA/d$1"
    echo "dev_config=ram/pause$1,dev_size=4194304" >"$HBA/d$1/control"
    echo 1 >"$HBA/d$1/enable"
    mkdir "$TPG/lun/lun_$1"
    ln -s "$HBA/d$1" "$TPG/lun/lun_$1/d$1"
}
remove_device() {
    rm "$TPG/lun/lun_$1/d$1"
    rmdir "$TPG/lun/lun_$1" "$HBA/d$1"
}
now() { awk '{ print int($1 * 1000) }' /proc/uptime; }
# reads_of_all DISK...: when told by a line, reads 4 KiB of each disk, all at once; prints when the last of them had come, in
# milliseconds as now().
reads_of_all() {
    python3 -c '
import mmap, os, sys, threading, time
disks = [os.open(disk, os.O_RDONLY | os.O_DIRECT) for disk in sys.argv[1:]]
ends, buffers = [], [mmap.mmap(-1, 4096) for _ in disks]
def read(disk, buffer):
    got = os.preadv(disk, [buffer], 0)
    ends.append(time.clock_gettime(time.CLOCK_BOOTTIME) if got == 4096 else float("nan"))
threads = [threading.Thread(target=read, args=pair) for pair in zip(disks, buffers)]
print("ready", flush=True)
sys.stdin.readline()
for thread in threads: thread.start()
print("reading", flush=True)
for thread in threads: thread.join()
assert len(ends) == len(disks)
print(int(max(ends) * 1000), flush=True)
' "$@"
}
# pauses DISK...: restarts the daemon five times with a read of each disk outstanding; $pauses: from the order to stop until
# the last read was served, without what the test itself does in between, milliseconds.
pauses() {
    local reader begin stopped started
    watch_errors "$@"
    pauses=
    [ -p /tmp/go ] || mkfifo /tmp/go
    for _ in 1 2 3 4 5; do
        reads_of_all "$@" </tmp/go >/tmp/reads & reader=$!
        exec {go}>/tmp/go
        wait_for 30 "the reader" grep -q ready /tmp/reads
        begin=$(now)
        stop_lunkitd
        stopped=$(now)
        echo >&"$go"
        wait_for 30 "the reads" grep -q reading /tmp/reads
        sleep 1    # they are with the kernel
        started=$(now)
        start_lunkitd
        wait $reader || fail "a read failed"
        exec {go}>&-
        pauses+="$((stopped - begin + $(tail -1 /tmp/reads) - started)) "
    done
    assert_no_errors
}

tank
modprobe tcm_loop
start_lunkitd
mkdir -p "$HBA" "$TPG"
echo naa.6001405000000089 >"$TPG/nexus"
export_device 0
address=$(cat "$TPG/address")
disks=("$(disk_at 20 "$address:0")")
pauses "${disks[@]}"
echo "one device: $pauses ms"
for ((lun = 1; lun < 64; lun++)); do
    export_device $lun
    disks+=("$(disk_at 20 "$address:$lun")")
done
# LIO tells each of those that were there of the LUNs that came: REPORTED LUNS DATA HAS CHANGED.
for disk in "${disks[@]}"; do sg_turs "$disk" || :; done
pauses "${disks[@]}"
echo "64 devices: $pauses ms"
for ((lun = 0; lun < 64; lun++)); do remove_device $lun; done
stop_lunkitd
