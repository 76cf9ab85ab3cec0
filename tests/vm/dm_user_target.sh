# shellcheck shell=bash
# dm-user targets for cases: no packaged kernel has them, so dm_user_double plays the kernel's half (CUSE, FUSE). Sourced behind
# lib.sh by the cases that serve such targets.
double=/usr/libexec/lunkit-tests/dm_user_double
[ -x $double ] || skip "no $double in the stage: it is built with the tests, and installed with --component tests"
modprobe fuse
modprobe cuse
declare -A doubles
# make_target NAME BYTES: the control node is /dev/dm-user/NAME, the device the file /mnt/NAME/NAME.
make_target() {
    mkdir -p "/mnt/$1"
    $double "$1" "$2" "/mnt/$1" &
    doubles[$1]=$!
    wait_for 20 "the node of $1" test -c "/dev/dm-user/$1"
    wait_for 20 "the device $1" test -f "/mnt/$1/$1"
}
# remove_target NAME
remove_target() {
    kill -TERM "${doubles[$1]}"
    wait "${doubles[$1]}"
}
# is_running NAME: whether the target is served.
is_running() { [ "$(lunkit dm-user list --json | jq -r ".[] | select(.name == \"$1\") | .state")" = running ]; }
