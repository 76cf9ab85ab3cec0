# shellcheck shell=bash
# What a long life costs: devices come and go, and others work, while memory and descriptors of the daemon stay what they were.
# Sourced by the soak cases.
. "$LUNKIT_VM/lib.sh"

HBA=$CONFIGFS/core/user_66
# Its own: the kernel's data areas are mapped as files, and are as large as the load was.
memory_kib() { awk '/^RssAnon:/ { print $2 }' "/proc/$(lunkitd_pid)/status"; }
descriptors() { ls "/proc/$(lunkitd_pid)/fd" | wc -l; }
threads() { ls "/proc/$(lunkitd_pid)/task" | wc -l; }

# come_and_go COUNT: so many devices are created and deleted, ten at a time.
come_and_go() {
    local left=$1 number pid pids
    while [ "$left" -gt 0 ]; do
        pids=()
        for number in {0..9}; do
            (mkdir "$HBA/d$number" && echo "dev_config=ram/soak$number,dev_size=1048576" >"$HBA/d$number/control" &&
                echo 1 >"$HBA/d$number/enable") & pids+=($!)
        done
        for pid in "${pids[@]}"; do wait "$pid" || fail "a device could not be created"; done
        # Not beside the creations: the kernel gives the number of a uio node away before its folder in sysfs is gone (EEXIST).
        rmdir "$HBA"/d?
        left=$((left - 10))
    done
}

# soak DEVICES SECONDS: after a first hundred devices and a first tenth of the load everything that is kept for reuse has been
# made; what the rest adds is lost. GROWTH_KIB is what the allocator's noise may be.
GROWTH_KIB=512
soak() {
    local devices=$1 seconds=$2 memory_before descriptors_before threads_before disk
    tank
    # What the kernel makes of memory in hours, it makes in seconds: huge pages where a few small ones are in use.
    echo always >/sys/kernel/mm/transparent_hugepage/enabled
    echo 10 >/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs
    echo 65536 >/sys/kernel/mm/transparent_hugepage/khugepaged/pages_to_scan
    start_lunkitd
    mkdir -p "$HBA"
    assert_match "$(grep THP_enabled "/proc/$(lunkitd_pid)/status")" '0$' "huge pages for the daemon"
    user_lun file soak 64M /tank/soak
    disk=$DISK
    come_and_go 100
    verify_load "$disk" --time_based --runtime=$((seconds / 10 + 1))
    memory_before=$(memory_kib) descriptors_before=$(descriptors) threads_before=$(threads)
    come_and_go "$devices"
    verify_load "$disk" --time_based --runtime="$seconds"
    sleep 1
    echo "$devices devices, $seconds s of load: memory $memory_before -> $(memory_kib) KiB, descriptors $descriptors_before -> $(descriptors), threads $threads_before -> $(threads)"
    assert_eq "$(descriptors)" "$descriptors_before" "descriptors"
    [ "$(threads)" -le "$threads_before" ] || fail "$(threads) threads, before $threads_before"
    [ "$(memory_kib)" -le $((memory_before + GROWTH_KIB)) ] || fail "memory grew from $memory_before to $(memory_kib) KiB"
    assert_no_errors
}

# idle_devices COUNT: prints what a device costs that nobody uses.
idle_devices() {
    local before number
    before=$(memory_kib)
    for ((number = 0; number < $1; number++)); do
        mkdir "$HBA/i$number"
        echo "dev_config=ram/idle$number,dev_size=1048576" >"$HBA/i$number/control"
        echo 1 >"$HBA/i$number/enable"
    done
    IDLE_KIB=$((($(memory_kib) - before) / $1))
    echo "$1 idle devices: $IDLE_KIB KiB each"
    for ((number = 0; number < $1; number++)); do rmdir "$HBA/i$number"; done
}
