# How long initiators wait while lunkitd is restarted under load: the longest read of one device, then of 64. What the second has
# more is the cost of the devices; the rest is the end and the start of a process. Times are printed, not judged.
# timeout: 400
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
reads_of() { awk '{ print $1 }' "/sys/block/${1##*/}/stat"; }
# longest DISK...: restarts the daemon three times while each disk is read; $pauses: the longest read of each time, milliseconds.
# One thread reads all of them in turn, with a read for each in flight: the guest has not the processors for a thread each.
longest() {
    local disk files
    local -A before=()
    files=$(IFS=:; echo "$*")
    watch_errors "$@"
    pauses=
    for _ in 1 2 3; do
        for disk; do before[$disk]=$(reads_of "$disk"); done
        fio --thread --ioengine=libaio --direct=1 --rw=randread --bs=4k --iodepth=$# --rate_iops=$((10 * $#)) --time_based --runtime=15 \
            --output-format=json --output=/tank/fio.json --name=pause --filename="$files" --file_service_type=roundrobin:1 &
        local load=$!
        for disk; do wait_for 60 "reads of $disk" eval '[ "$(reads_of "$disk")" -gt "${before[$disk]}" ]'; done
        stop_lunkitd
        start_lunkitd
        kill -0 $load || fail "fio ended before the daemon was back"
        wait $load || fail "fio: $(cat /tank/fio.json)"
        pauses+="$(jq '[.jobs[].read.clat_ns.max] | max / 1000000 | floor' /tank/fio.json) "
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
longest "${disks[@]}"
echo "one device: $pauses ms"
for ((lun = 1; lun < 64; lun++)); do
    export_device $lun
    disks+=("$(disk_at 20 "$address:$lun")")
done
# LIO tells each of those that were there of the LUNs that came: REPORTED LUNS DATA HAS CHANGED.
for disk in "${disks[@]}"; do sg_turs "$disk" || :; done
longest "${disks[@]}"
echo "64 devices: $pauses ms"
for ((lun = 0; lun < 64; lun++)); do remove_device $lun; done
stop_lunkitd
