# A saved user:file LUN is there again after a reboot, with its data and the file system on it, brought up in the right order: what
# the tutorial on that says.
# boot: reboot
# usually: 6.12
# timeout: 360
. "$LUNKIT_VM/lib.sh"
. "$LUNKIT_VM/tutorials.sh"
need_lunkitd

if [ "$LUNKIT_BOOT" = 1 ]; then
    systemctl enable lunkitd.service    # as the package does
    start_lunkitd
    run_tutorial boot
    systemctl reboot
    sleep 100
fi
assert_eq "$(systemctl is-active lunkitd.service)" active "unit after the reboot"
assert_no_match "$(journalctl -q -b -u rtslib-fb-targetctl.service)" 'could not|cannot|errno|failed' "restore at boot"
[ "$(systemctl show -P ActiveEnterTimestampMonotonic lunkitd.service)" -lt \
    "$(systemctl show -P ExecMainStartTimestampMonotonic rtslib-fb-targetctl.service)" ] || fail "the restore began before lunkitd was up"
if ! (wait_for 90 "the file system" findmnt /mnt/data); then
    systemctl --no-pager status mnt-data.mount 'dev-disk-by\x2dlabel-data.device' 'systemd-fsck@*' || :
    fail "not mounted; jobs: $(systemctl list-jobs)"
fi
run_tutorial boot rebooted
assert_match "$output" '^hello' "data after the reboot"
