# Runs after `passes` in the same guest and finds nothing of it.
. "$LUNKIT_VM/lib.sh"
assert_eq "$(ls -d /sys/kernel/config/target/core/*/*/attrib 2>/dev/null || :)" '' "backstores of the case before"
assert_eq "$(pgrep -x sleep || :)" '' "processes of the case before"
if mountpoint -q /tank; then fail "/tank is still mounted"; fi
assert_eq "$(grep -c ' /dev/shm ' /proc/mounts)" 1 "mounts at /dev/shm"
assert_eq "$(ls /dev/shm)" '' "files of the case before in /dev/shm"
