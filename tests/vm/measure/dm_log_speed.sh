# Writes per second to mirrors with the kernel's dirty logs and with lunkitd's, and how long a resync takes: in turn, in one
# guest. Printed, not judged. Wanted: parallel writes to ours on disk at least 0.8 of the kernel's, a resync within 1.2 of it.
# kernels: 6.1 6.12
# timeout: 1800
. "$LUNKIT_VM/lib.sh"

MIB=128 ROUNDS=3 RUN=2
HOT=4096 COLD=128 RESYNC=1024    # sectors of a region: 2 MiB, 64 KiB, 512 KiB
KINDS="kernel-core ours-core kernel-disk ours-disk"
sectors=$((MIB * 2048))
# table KIND SYNC-WORD REGION
table() {
    local log
    case $1 in
    kernel-core) log="core 2 $3 $2" ;;
    kernel-disk) log="disk 3 /dev/ram2 $3 $2" ;;
    ours-core) log="userspace 5 uuid-core integrated_flush core $3 $2" ;;
    ours-disk) log="userspace 6 uuid-disk integrated_flush disk /dev/ram2 $3 $2" ;;
    esac
    echo "0 $sectors mirror $log 2 /dev/ram0 0 /dev/ram1 0 1 handle_errors"
}
# writes KIND DEPTH REGION: per second, and of ours the requests to the daemon for each.
writes() {
    local before=0 after=0 result iops total
    dm_device mir "$(table "$1" nosync "$3")"
    [[ $1 != ours-* ]] || before=$(requests)
    result=$(fio --name=writes --filename=/dev/mapper/mir --ioengine=libaio --direct=1 --rw=randwrite --bs=4k \
        --iodepth="$2" --norandommap --randseed=7 --time_based --runtime=$RUN --output-format=json)
    [[ $1 != ours-* ]] || after=$(requests)
    dmsetup remove --retry mir
    read -r iops total < <(jq -r '.jobs[0].write | "\(.iops | floor) \(.total_ios)"' <<<"$result")
    [ "$total" != 0 ] || fail "no writes: $result"
    echo "$iops $(((after - before) * 100 / total))"
}
requests() { lunkit dm-log list --json | jq '.[0].other_commands'; }
# resync KIND: milliseconds. No status is asked meanwhile: that would be requests.
resync() {
    local begun ended
    dmsetup create mir --notable
    dmsetup load mir --table "$(table "$1" sync $RESYNC)"
    begun=${EPOCHREALTIME/./}
    dmsetup resume mir
    dmsetup wait mir 0 >/dev/null    # the mirror tells that it is in sync
    ended=${EPOCHREALTIME/./}
    dmsetup remove --retry mir
    echo "$(((ended - begun) / 1000)) 0"
}
median() { sort -n | sed -n "$(((ROUNDS + 1) / 2))p"; }
# line WHAT COMMAND ARGUMENTS-BEHIND-THE-KIND...: all kinds in turn, so many rounds.
line() {
    local what=$1 round kind value requests ours kernels
    shift
    rm -f /tank/values.*
    for ((round = 0; round < ROUNDS; round++)); do
        for kind in $KINDS; do
            read -r value requests < <("$1" "$kind" "${@:2}")
            echo "$value" >>"/tank/values.$kind"
            echo "$requests" >"/tank/values.requests.$kind"
        done
    done
    for kind in $KINDS; do
        echo "$what $kind: median $(median <"/tank/values.$kind"), all $(paste -sd' ' "/tank/values.$kind");" \
            "requests per 100: $(cat "/tank/values.requests.$kind")"
    done
    for kind in core disk; do
        ours=$(median <"/tank/values.ours-$kind") kernels=$(median <"/tank/values.kernel-$kind")
        echo "$what $kind: ours / kernel's: $(jq -n "$ours / $kernels * 100 | round / 100")"
    done
}

tank
modprobe brd rd_nr=3 rd_size=$((MIB * 1024))
modprobe dm_mirror
start_lunkitd
line "parallel writes" writes 32 $HOT
line "parallel writes, small regions" writes 32 $COLD
line "isolated writes" writes 1 $HOT
line "resync ms" resync
stop_lunkitd
