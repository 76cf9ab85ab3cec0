# A case that reboots the machine and goes on.
# boot: reboot
# timeout: 120
. "$LUNKIT_VM/lib.sh"
if [ "$LUNKIT_BOOT" = 1 ]; then
    echo kept >/var/lib/selftest
    systemctl reboot
    sleep 100
fi
assert_eq "$(cat /var/lib/selftest)" kept "what the first boot wrote"
assert_eq "$(ps -o comm= -p 1)" systemd "PID 1"
