# shellcheck shell=bash
# The daemon is killed with SIGKILL at random moments under verified load of four disks: one with a write cache, one without
# (direct=on), one of memory, one over iSCSI. Its successor goes on where it was: no command ends in anything but GOOD.
# Sourced with KILLS set.
. "$LUNKIT_VM/lib.sh"
iqn=iqn.2024-01.org.lunkit:case

tank ext4
start_lunkitd
user_lun file cached 64M /tank/cached
CACHED=$DISK
user_lun file direct 64M '/tank/direct;direct=on'
DIRECT=$DISK
echo 0 >"$(echo "$CONFIGFS"/core/user_*/direct/attrib/emulate_write_cache)"
sg_turs "$DIRECT" || :  # takes the unit attention for that
watch_errors "$DIRECT"
user_lun ram memory 64M memory
MEMORY=$DISK
targets_ok < <(
    echo '/backstores/user:file create name=remote size=64M cfgstring=/tank/remote'
    iscsi_lines $iqn /backstores/user:file/remote
)
iscsi_login $iqn
REMOTE=$(iscsi_disk_of $iqn 0)
watch_errors "$REMOTE"
disks=("$CACHED" "$DIRECT" "$MEMORY" "$REMOTE")
begin_loads "${disks[@]}"
begin=$SECONDS
for ((kill = 0; kill < KILLS; kill++)); do
    sleep "0.$((RANDOM % 9 + 1))"
    kill_lunkitd
    loads_go_on "after $kill kills"
    start_lunkitd
done
sleep 2
assert_no_errors
end_loads
assert_no_errors
assert_no_match "$(kernel_log)" 'I/O error|ring is broken|timed out|reset' "kernel log"
replayed=$(lunkitd_log | sed -nE 's/.*executing ([0-9]+) commands that the predecessor had begun.*/\1/p' | awk '{ sum += $1 } END { print sum + 0 }')
echo "$KILLS kills in $((SECONDS - begin)) s, $replayed commands executed again, none failed"
[ "$replayed" -gt 0 ] || fail "no kill hit a command in flight"
assert_no_match "$(lunkitd_log)" 'resetting the ring' "lunkitd"
for disk in "${disks[@]}"; do verify_load "$disk"; done
iscsi_logout $iqn
stop_lunkitd
