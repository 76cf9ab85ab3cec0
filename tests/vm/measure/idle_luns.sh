# 256 LUNs that nobody uses: threads, memory of each, and how long a daemon takes that starts with all of them. The time is
# printed, not judged: 5 s are wanted of a machine, and here is an emulated one.
# kernels: 6.12
# timeout: 300
. "$LUNKIT_VM/lib.sh"

HBA=$CONFIGFS/core/user_256
LUNS=256
QUEUES=$(nproc)
memory_kib() { awk '/^RssAnon:/ { anonymous = $2 } /^RssShmem:/ { shared = $2 } END { print anonymous + shared }' "/proc/$(lunkitd_pid)/status"; }
threads() { ls "/proc/$(lunkitd_pid)/task" | wc -l; }
running() { lunkit list --json | jq '[.[] | select(.state == "running")] | length'; }

tank
start_lunkitd
mkdir -p "$HBA"
without=$(memory_kib) threads_without=$(threads)
began=$SECONDS
for ((number = 0; number < LUNS; number++)); do
    truncate -s 16M "/tank/d$number"
    mkdir "$HBA/d$number"
    echo "dev_config=file//tank/d$number,dev_size=16777216,cmd_ring_size_mb=1" >"$HBA/d$number/control"
    echo 1 >"$HBA/d$number/enable"
done
assert_eq "$(running)" $LUNS "devices that run"
each=$((($(memory_kib) - without) / LUNS))
step "$LUNS LUNs made in $((SECONDS - began)) s: $each KiB each, $(threads) threads for $QUEUES processors ($threads_without without LUNs)"
[ $each -lt 64 ] || fail "$each KiB for a LUN"

stop_lunkitd
began=${EPOCHREALTIME/./}
start_lunkitd
wait_for 60 "all devices" eval '[ "$(running)" = $LUNS ]'
took=$(((${EPOCHREALTIME/./} - began) / 1000))
step "a daemon that starts with $LUNS LUNs serves all of them after $took ms, with $(threads) threads"
# The threads of bring-up end by themselves.
wait_for 60 "no more threads than without LUNs, but one or two" eval '[ "$(threads)" -le $((threads_without + 2)) ]'
rmdir "$HBA"/d*
stop_lunkitd
