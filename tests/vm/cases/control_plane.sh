# Whoever creates or deletes devices is never left waiting: with many at once, with the daemon stopped (SIGSTOP), killed in the
# middle, or absent. No process stays in D state.
# kernels: 6.1
# timeout: 600
. "$LUNKIT_VM/lib.sh"

# make NAME / drop NAME: a device by configfs alone, as rtslib makes them.
HBA=$CONFIGFS/core/user_77
make() {
    mkdir "$HBA/$1" && echo "dev_config=ram/$1,dev_size=1048576" >"$HBA/$1/control" && echo 1 >"$HBA/$1/enable"
}
drop() { rmdir "$HBA/$1"; }
served() { lunkit list --json | jq '[.[] | select(.state == "running")] | length'; }
served_is() { [ "$(served)" = "$1" ]; }
# nobody_hangs: no process waits in the kernel for good.
nobody_hangs() { wait_for 30 "the end of every wait in the kernel" eval '! ps -eo stat= | grep -q ^D'; }

start_lunkitd
mkdir -p "$HBA"

step "two hundred at once"
begin=$SECONDS
pids=()
for ((i = 0; i < 200; i++)); do make "d$i" & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid" || fail "a creation failed"; done
assert_eq "$(served)" 200 "devices served"
pids=()
for ((i = 0; i < 200; i++)); do drop "d$i" & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid" || fail "a deletion failed"; done
assert_eq "$(served)" 0 "devices served after deletion"
echo "200 devices created and deleted in $((SECONDS - begin)) s"

step "deleted while they are being created"
for ((i = 0; i < 20; i++)); do
    make "r$i" 2>/dev/null & one=$!
    sleep "0.0$((RANDOM % 5))"
    begin=$SECONDS
    drop "r$i" 2>/dev/null || :
    wait $one || :
    ((SECONDS - begin < 15)) || fail "the deletion took $((SECONDS - begin)) s"
    drop "r$i" 2>/dev/null || :
done
nobody_hangs
wait_for 20 "the end of the deleted devices" served_is 0

step "stopped: creation waits, and ends when the daemon goes on"
kill -STOP "$(lunkitd_pid)"
make stopped & one=$!
sleep 1
kill -CONT "$(lunkitd_pid)"
wait $one || fail "the creation failed"
assert_eq "$(served)" 1 "devices served"

step "killed in the middle of a creation: the doctor names it, the next daemon completes it"
lunkit doctor || fail "the doctor finds trouble where there is none"
kill -STOP "$(lunkitd_pid)"
make killed & one=$!
sleep 1
kill_lunkitd
assert_fails "the doctor" lunkit doctor
assert_match "$output" 'lunkitd does not answer' "the doctor"
assert_match "$output" "process $one .* waits in the kernel" "the doctor"
start_lunkitd
wait $one || fail "the creation failed"
wait_for 20 "both devices" served_is 2

step "killed in the middle of a deletion: the next daemon ends it"
kill -STOP "$(lunkitd_pid)"
drop stopped & one=$!
sleep 1
kill_lunkitd
start_lunkitd
wait $one || fail "the deletion failed"
wait_for 30 "one device" served_is 1

step "absent: deletion ends with the next daemon"
kill_lunkitd
drop killed & one=$!
sleep 1
start_lunkitd
wait $one || fail "the deletion failed"
wait_for 30 "no device" served_is 0

step "stopped in good order: nobody waits"
stop_lunkitd
timeout 20 bash -c "$(declare -f make); HBA=$HBA; make nobody" && drop nobody
nobody_hangs
start_lunkitd
make again
drop again
rmdir "$HBA"
stop_lunkitd
