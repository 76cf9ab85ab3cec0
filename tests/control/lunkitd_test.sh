#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The real lunkitd, as far as it gets without a kernel that has TCMU: its exit codes and messages.
# Usage: lunkitd_test.sh LUNKITD
set -u
lunkitd=${1:?usage: lunkitd_test.sh LUNKITD}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$folder/no-bus
failed=0

# expect CODE TEXT COMMAND...: the exit code, and TEXT somewhere in what it prints.
expect() {
    local code=$1 text=$2 output status
    shift 2
    output=$(timeout 20 "$@" 2>&1)
    status=$?
    if [ $status -ne "$code" ] || ! grep -qF -- "$text" <<<"$output"; then
        printf 'not as expected: %s\n  wanted %d and "%s"\n  got %d and: %s\n' "$*" "$code" "$text" $status "$output"
        failed=1
    fi
}
# logs TEXT LAST: what the daemon logs up to a line with LAST has one with TEXT.
logs() {
    local line told=no
    while read -r -t 20 line <&3 && [[ $line != *"$2"* ]]; do
        if [[ $line == *"$1"* ]]; then told=yes; fi
    done
    if [ $told = no ]; then
        echo "the daemon does not log: $1"
        failed=1
    fi
}
conf=$folder/lunkitd.conf
settings() { printf '%s\n' "[daemon]" "run_dir=$folder/run" "handler_dir=$folder" "$@" >"$conf"; }

expect 0 'lunkitd ' "$lunkitd" --version
expect 0 '--check-config' "$lunkitd" --help
expect 0 '#log_level=info' "$lunkitd" --default-config
expect 2 'Unknown option --nonsense' "$lunkitd" --nonsense
expect 2 "'extra'" "$lunkitd" extra

settings
expect 0 'no errors' "$lunkitd" --check-config --config "$conf"
settings 'colour=red' '[queues]' 'spin_us=x'
expect 78 "lunkitd.conf:4: unknown key 'colour'" "$lunkitd" --check-config --config "$conf"
expect 78 "lunkitd.conf:6: spin_us: 'x' is not a number" "$lunkitd" --check-config --config "$conf"
expect 78 "lunkitd.conf:4: unknown key 'colour'" "$lunkitd" --foreground --config "$conf"
expect 78 'No such file or directory' "$lunkitd" --config "$folder/missing"

mkdir "$folder/devices.d"
printf '%s\n' '[ublk]' 'config=ram/a' 'number=x' >"$folder/devices.d/a.conf"
expect 78 "lunkitd.conf:4: unknown key 'colour'" "$lunkitd" --check-config --config "$conf"
expect 78 "devices.d/a.conf:3: number: 'x' is not a number" "$lunkitd" --check-config --config "$conf"
settings
expect 78 "devices.d/a.conf:3: number: 'x' is not a number" "$lunkitd" --check-config --config "$conf"
printf '%s\n' '[ublk]' 'config=ram/a' 'number=1' >"$folder/devices.d/a.conf"
expect 0 'no errors' "$lunkitd" --check-config --config "$conf"
rm -r "$folder/devices.d"

settings '[tcmu]' 'enabled=no'
sed -i "s|^handler_dir=.*|handler_dir=$folder/nowhere|" "$conf"
expect 78 "handler_dir: $folder/nowhere: No such file" "$lunkitd" --check-config --config "$conf"
expect 78 "$folder/nowhere: No such file" "$lunkitd" --foreground --config "$conf"
settings '[tcmu]' 'enabled=no'
sed -i "s|^handler_dir=.*|handler_dir=$conf|" "$conf"
expect 78 "$conf is no directory" "$lunkitd" --check-config --config "$conf"
expect 78 "$conf is no directory" "$lunkitd" --foreground --config "$conf"
settings '[tcmu]' 'enabled=no'
sed -i "s|^run_dir=.*|run_dir=$folder/nowhere/run|" "$conf"
expect 78 "run_dir: $folder/nowhere: No such file" "$lunkitd" --check-config --config "$conf"
expect 78 "cannot make $folder/nowhere/run" "$lunkitd" --foreground --config "$conf"
settings 'allowed_dirs=/nowhere'
expect 0 'allowed_dirs: /nowhere: No such file or directory; left out' "$lunkitd" --check-config --config "$conf"
settings 'allowed_dirs=nowhere'
expect 78 'allowed_dirs' "$lunkitd" --check-config --config "$conf"

# A daemon without front ends runs, whatever allowed folder is late, and keeps a second one out until it is told to
# stop.
settings 'allowed_dirs=/nowhere' '[tcmu]' 'enabled=no' '[ublk]' 'enabled=no' '[dm_user]' 'enabled=no' '[dm_log]' 'enabled=no'
mkfifo "$folder/log"
"$lunkitd" --foreground --config "$conf" 2>"$folder/log" &
daemon=$!
exec 3<"$folder/log"
logs "allowed_dirs: /nowhere: No such file or directory; left out" "is ready"
expect 1 "another lunkitd (process $daemon) is running" "$lunkitd" --foreground --config "$conf"
# systemd, which would start the next one at once, is kept waiting.
SECONDS=0
NOTIFY_SOCKET=$folder/nobody expect 1 "another lunkitd" "$lunkitd" --foreground --config "$conf"
if [ $SECONDS -lt 4 ]; then
    echo "the start that failed took $SECONDS s"
    failed=1
fi
# What no daemon could start with changes nothing in a running one.
sed -i "s|^handler_dir=.*|handler_dir=$folder/nowhere|" "$conf"
kill -HUP "$daemon"
logs "handler_dir: $folder/nowhere: No such file" "nothing was changed"
kill -TERM "$daemon"
wait "$daemon"
status=$?
if [ $status -ne 0 ]; then
    echo "SIGTERM ended it with $status"
    failed=1
fi
exit $failed
