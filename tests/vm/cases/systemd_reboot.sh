# A saved user:file LUN is there again after a reboot, with its data, brought up in the right order.
# boot: reboot
# usually: 6.12
# timeout: 360
. "$LUNKIT_VM/lib.sh"
need_lunkitd
image=/var/lib/lunkit/reboot.img

if [ "$LUNKIT_BOOT" = 1 ]; then
    systemctl enable lunkitd.service
    mkdir -p "$(dirname $image)"
    start_lunkitd
    user_lun file d 64M $image
    echo "written before the reboot" | dd of="$DISK" bs=512 conv=sync oflag=direct status=none
    targets_ok <<<'saveconfig'
    systemctl reboot
    sleep 100
fi
assert_eq "$(systemctl is-active lunkitd.service)" active "unit after the reboot"
assert_no_match "$(journalctl -q -b -u rtslib-fb-targetctl.service)" 'could not|cannot|errno|failed' "restore at boot"
[ "$(systemctl show -P ActiveEnterTimestampMonotonic lunkitd.service)" -lt \
    "$(systemctl show -P ExecMainStartTimestampMonotonic rtslib-fb-targetctl.service)" ] || fail "the restore began before lunkitd was up"
DISK=$(loop_disk_of d)
assert_match "$(dd if="$DISK" bs=512 count=1 iflag=direct status=none | tr -d '\0')" 'written before the reboot' "data after the reboot"
