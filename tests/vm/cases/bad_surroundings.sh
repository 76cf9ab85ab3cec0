# What is missing or broken around the daemon is said once and clearly, with an exit status, and hurts nothing else:
# a kernel without TCMU, no D-Bus, a broken configuration file, plugins that do not load.
# usually: 6.1
# timeout: 240
. "$LUNKIT_VM/lib.sh"
need_lunkitd

# daemon STATUS SECONDS [ARGUMENT]...: runs it; it must end by itself with that status; what it says goes to $said.
daemon() {
    local expected=$1 limit=$2 status=0
    shift 2
    said=$(timeout "$limit" lunkitd --foreground "$@" 2>&1) || status=$?
    echo "$said"
    assert_eq "$status" "$expected" "exit status of lunkitd"
}

step "a kernel without TCMU"
module=$(modinfo -n target_core_user)
[ ! -d /sys/module/target_core_user ] || modprobe -r target_core_user
mount --bind /dev/null "$module"
trap 'umount "$module"' EXIT
printf '[%s]\nenabled=no\n' ublk dm_user dm_log >/tank/lunkitd.conf
daemon 69 20 --config=/tank/lunkitd.conf
umount "$module"
trap - EXIT
assert_match "$said" 'target_core_user' "what it says"
assert_eq "$(pgrep -x lunkitd || :)" '' "daemon left"

step "a broken configuration file"
printf '[queues]\nengine=warp\nfrobnicate=1\n' >/tank/lunkitd.conf
daemon 78 20 --config=/tank/lunkitd.conf
assert_match "$said" '/tank/lunkitd.conf:2: .*engine' "the bad value with its line"
assert_match "$said" '/tank/lunkitd.conf:3: .*frobnicate' "the unknown key with its line"
daemon 2 20 --no-such-option
if lunkitd --check-config --config=/tank/lunkitd.conf; then fail "--check-config accepts it"; fi

step "plugins that do not load"
mkdir -p /tank/plugins
cp "$(find / -xdev -name handler_file.so -path '*/lunkit/*' | head -n 1)" /tank/plugins/
echo 'not a library' >/tank/plugins/handler_text.so
head -c 4096 /tank/plugins/handler_file.so >/tank/plugins/handler_cut.so
cp /lib/x86_64-linux-gnu/libm.so.6 /tank/plugins/handler_stranger.so
start_lunkitd --handler-dir=/tank/plugins
for name in text cut stranger; do log_says "handler_$name.so" || fail "no word about handler_$name.so"; done
assert_match "$(lunkit handlers)" '\bfile\b' "lunkit handlers"
user_lun file good 16M /tank/good
verify_load "$DISK" --size=4M
assert_no_errors
stop_lunkitd

step "no D-Bus: devices are served all the same"
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/other-bus    # nobody is there yet; the other cases need theirs
lunkitd --foreground >>$LUNKITD_LOG 2>&1 &
LUNKITD_PID=$!
verify_load "$DISK" --size=4M
assert_no_errors
log_says 'D-Bus: no system bus' || fail "no word about the missing bus"
status=0
output=$(lunkit list 2>&1) || status=$?
assert_match "$output" 'bus' "lunkit list without a bus"
[ $status != 0 ] || fail "lunkit list succeeds without a bus"
dbus-daemon --system --nofork --nopidfile --nosyslog --address=$DBUS_SYSTEM_BUS_ADDRESS &
wait_for 30 "lunkitd on the new bus" lunkit list
assert_match "$(lunkit list)" '\bgood\b' "lunkit list"
stop_lunkitd
