# Where no dirty logs can be served the daemon says so once, and serves what else there is.
# usually: 6.1
. "$LUNKIT_VM/lib.sh"

step "a kernel without dm-log-userspace"
tank
modprobe overlay
[ ! -d /sys/module/dm_log_userspace ] || modprobe -r dm_log_userspace
mkdir /tank/upper /tank/work
mount -t overlay -o lowerdir=/lib/modules,upperdir=/tank/upper,workdir=/tank/work modules /lib/modules
rm "$(modinfo -n dm_log_userspace)"
depmod
start_lunkitd
umount /lib/modules
assert_eq "$(lunkit dm-log list)" "no dirty logs" "dm-log list"
assert_eq "$(lunkitd_log | grep -c 'dm_log_userspace: there is no such module')" 1 "lines about the module"
assert_no_match "$(lunkitd_log)" 'error:|warning:' "the log"
assert_eq "$(ps -eLo comm | grep -c lunkit-dm-log || :)" 0 "threads for it"
stop_lunkitd

step "a network name space without the connector, and nothing else to serve"
printf '[tcmu]\nenabled=no\n[ublk]\nenabled=no\n' >/tank/lunkitd.conf
status=0
said=$(timeout 20 unshare --net lunkitd --foreground --config=/tank/lunkitd.conf 2>&1) || status=$?
assert_eq "$status" 69 "exit status of lunkitd"
assert_match "$said" 'dm-log: .*/proc/net/connector' "what it says"
