# The daemon is stopped with SIGTERM and started again, three times, under verified load: the initiator sees no error.
# usually: 6.1
# timeout: 360
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
random_file /tank/data 4
user_lun ram r 64M r
RAM=$DISK
dd if=/tank/data of="$RAM" bs=1M oflag=direct status=none
user_lun file d 64M /tank/d
[ -b "$DISK" ]
begin_loads "$DISK"
for _ in 1 2 3; do
    sleep 3
    stop_lunkitd
    sleep 1
    loads_go_on "while the daemon was away"
    start_lunkitd
    dd if="$RAM" bs=1M count=4 iflag=direct status=none | cmp - /tank/data
done
end_loads
assert_no_errors
assert_no_match "$(kernel_log | grep "\[${DISK##*/}\]" || :)" 'error|reset|timed out' "kernel log of the disk"
verify_load "$DISK"
stop_lunkitd
