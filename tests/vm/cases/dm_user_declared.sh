# dm-user targets that are declared in devices.d: attached when the daemon starts, and when their control nodes appear.
# kernels: 6.12
# timeout: 240
. "$LUNKIT_VM/lib.sh"
. "$LUNKIT_VM/dm_user_target.sh"
tank

mkdir -p /tank/etc/devices.d
conf=/tank/etc/lunkitd.conf
: >$conf
declare_target() { # declare_target NAME LINE...
    printf '%s\n' '[dm-user]' "name=$1" "${@:2}" >"/tank/etc/devices.d/$1.conf"
}
served() { lunkit dm-user list --json | jq -r 'map(select(.state == "running").name) | sort | join(" ")'; }
come_up() { wait_for 20 "the targets $*" eval "[ \"\$(served)\" = '$*' ]"; }
truncate -s 1M /tank/early /tank/late

step "a broken declaration is told"
declare_target broken config=ram/x channels=many
assert_fails "--check-config" lunkitd --check-config --config $conf
assert_match "$output" 'broken.conf:4: channels: .many. is not a number from 1 to 64' "what --check-config says"
rm /tank/etc/devices.d/broken.conf

step "no target yet, and nothing in this kernel to make one: the daemon waits for the node, and for its folder"
declare_target late config=file//tank/late channels=2
[ ! -e /dev/dm-user ] || fail "there is a /dev/dm-user already"
start_lunkitd --config $conf
wait_for 10 "a word about it" log_says 'late.conf: waiting for /dev/dm-user/late'
assert_no_match "$(lunkitd_log)" 'error:|warning:' "the log"
make_target late $((1 << 20))
come_up late
assert_eq "$(find "/proc/$(lunkitd_pid)/fd" -lname /dev/dm-user/late | wc -l)" 2 "channels"
random_file /tank/data 1
dd if=/tank/data of=/mnt/late/late bs=64k conv=notrunc,fsync status=none
cmp /tank/data /tank/late

step "it goes, and comes again"
remove_target late
come_up ''
make_target late $((1 << 20))
come_up late
cmp /tank/data /mnt/late/late

step "one that was detached stays so, also over a reload, while its target is the same"
lunkit dm-user detach late
lunkit reload
sleep 1
assert_eq "$(served)" '' "targets"

step "a reload attaches what is declared anew, and a start what is there"
make_target early $((1 << 20))
declare_target early config=file//tank/early
lunkit reload
come_up early
stop_lunkitd
start_lunkitd --config $conf
come_up early late
cmp /tank/data /mnt/late/late

step "one that is attached otherwise stays as it is"
lunkit dm-user detach early
lunkit dm-user attach early ram/x --size 1M
kill_lunkitd
start_lunkitd --config $conf
wait_for 10 "a word about it" log_says 'early.conf: early is attached already, to ram/x .* leaving it as it is'
come_up early late
remove_target early
remove_target late
come_up ''
stop_lunkitd
