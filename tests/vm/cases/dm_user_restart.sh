# A dm-user target whose daemon is restarted, and killed, under systemd, which keeps the control node open meanwhile: requests wait
# for the next daemon, none fails.
# boot: systemd
# kernels: 6.12
# timeout: 480
. "$LUNKIT_VM/lib.sh"
. "$LUNKIT_VM/dm_user_target.sh"
tank

kept() { systemctl show -P NFileDescriptorStore lunkitd.service; }
kept_become() { wait_for 10 "$1 nodes kept open, not $(kept)" eval "[ \"\$(kept)\" = $1 ]"; }
write_data() { dd if=/tank/data of=/mnt/disk/disk bs=64k conv=notrunc,fsync status=none; }
read_some() { dd if=/mnt/disk/disk of=/dev/null bs=64k count=16 status=none; }

step "a control node is kept open from attach to detach"
make_target disk $((8 << 20))
truncate -s 8M /tank/disk
start_lunkitd
lunkit dm-user attach disk file//tank/disk
kept_become 1
lunkit dm-user detach disk
kept_become 0
assert_fails "a read of what is detached" read_some
lunkit dm-user attach disk file//tank/disk
kept_become 1

step "restarts under load"
fio --name=load --filename=/mnt/disk/disk --allow_file_create=0 --fallocate=none --ioengine=psync --thread --numjobs=4 \
    --offset_increment=2M --size=2M --rw=randrw --bsrange=4k-64k --verify=crc32c --verify_fatal=1 --verify_backlog=64 \
    --time_based --runtime=20 --minimal >/tank/fio.out 2>&1 &
load=$!
for _ in 1 2 3 4; do
    sleep 3
    restart_lunkitd
done
wait $load || fail "fio: $(cat /tank/fio.out)"
assert_eq "$(kept)" 1 "nodes kept open"

step "killed between requests: they wait for the next daemon"
random_file /tank/data 1
kill_lunkitd
write_data
wait_for 20 "the target to be served again" is_running disk
cmp -n $((1 << 20)) /tank/data /mnt/disk/disk

step "and for as long as there is none"
mkdir -p /run/systemd/system/lunkitd.service.d
printf '[Service]\nRestartSec=1h\n' >/run/systemd/system/lunkitd.service.d/slow.conf
systemctl daemon-reload
kill_lunkitd
random_file /tank/data 1
write_data &
writer=$!
sleep 2
[ -d /proc/$writer ] || fail "the write did not wait for a daemon"
assert_eq "$(lunkitd_pid || :)" '' "daemon while the write waits"
rm -r /run/systemd/system/lunkitd.service.d
systemctl daemon-reload
systemctl restart lunkitd.service
wait $writer
cmp -n $((1 << 20)) /tank/data /mnt/disk/disk
assert_eq "$(kept)" 1 "nodes kept open"

step "a unit that is stopped keeps nothing"
systemctl stop lunkitd.service
kept_become 0
assert_fails "a read while there is no daemon" read_some
systemctl start lunkitd.service
wait_for 20 "the target to be served again" is_running disk
cmp -n $((1 << 20)) /tank/data /mnt/disk/disk
kept_become 1

step "a target that goes"
remove_target disk
kept_become 0
stop_lunkitd
