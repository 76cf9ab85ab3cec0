# Another TCMU daemon runs beside lunkitd: one that listens, one that approves of all devices before lunkitd has looked, one that
# refuses them, one that opens their nodes. Creation and deletion end, nothing waits in the kernel, and what lunkitd serves works.
# kernels: 6.1
# timeout: 480
. "$LUNKIT_VM/lib.sh"

HBA=$CONFIGFS/core/user_55
# make NAME: a device of an image that is there: a RAM disk whose creation lunkitd has missed has no contents.
make() {
    truncate -s 4M "/tank/$1"
    mkdir "$HBA/$1" && echo "dev_config=file//tank/$1,dev_size=4194304" >"$HBA/$1/control" && echo 1 >"$HBA/$1/enable"
}
drop() { rmdir "$HBA/$1"; }
nobody_hangs() { wait_for 30 "the end of every wait in the kernel" eval '! ps -eo stat= | grep -q ^D'; }
served() { lunkit list --json | jq -r '[.[] | select(.state == "running") | .name] | join(" ")'; }
# begin_other MANNER: the other daemon, $other its process.
begin_other() {
    : >/tank/other.log
    python3 "$LUNKIT_VM/other_runner.py" "$1" >>/tank/other.log 2>&1 & other=$!
    wait_for 20 "the other daemon" grep -q listening /tank/other.log
}
end_other() {
    kill $other
    wait $other || :
}
# make_behind NAME: lunkitd looks at the new device only when the other daemon has.
make_behind() {
    kill -STOP "$(lunkitd_pid)"
    make "$1" 2>/tank/make.log & maker=$!
    wait_for 20 "the other daemon's answer" grep -q "event 1 .*/$1/.* 0\$" /tank/other.log
    kill -CONT "$(lunkitd_pid)"
}

tank
start_lunkitd
mkdir -p "$HBA"

step "one that listens"
begin_other listens
make heard
assert_eq "$(served)" user_55/heard "devices served"
drop heard
wait_for 20 "an end" eval '[ -z "$(served)" ]'
end_other

step "one that approves first"
begin_other approves
make_behind approved
wait $maker || fail "the creation failed: $(cat /tank/make.log)"
wait_for 20 "the device" eval '[ "$(served)" = user_55/approved ]'
drop approved
nobody_hangs
wait_for 20 "an end" eval '[ -z "$(served)" ]'
end_other

step "one that refuses first"
begin_other refuses
make_behind refused
! wait $maker || fail "the creation that another refused went well"
wait_for 30 "an end" log_says 'refused.*refusing the device'
drop refused
nobody_hangs
assert_eq "$(lunkit list --json)" "[]" "devices"
end_other

step "one that opens the node: it is told who has it"
begin_other takes
make_behind taken
wait $maker || fail "the creation failed: $(cat /tank/make.log)"
wait_for 60 "a word" log_says 'taken.*in use by another process'
assert_eq "$(lunkit list --json | jq -r '.[].state')" failed "state"
end_other
drop taken
nobody_hangs
wait_for 20 "an end" eval '[ "$(lunkit list --json)" = "[]" ]'

step "alone again"
make alone
assert_eq "$(served)" user_55/alone "devices served"
drop alone
rmdir "$HBA"
stop_lunkitd
