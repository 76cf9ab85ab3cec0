# The unit under systemd: activation by targetcli, start and stop, restart under verified load, place in the boot order.
# boot: systemd
# usually: 6.1
# timeout: 360
. "$LUNKIT_VM/lib.sh"
need_lunkitd

step "boot order"
before=$(systemctl show -P Before lunkitd.service)
assert_match "$before" '\btarget\.service' "Before= of lunkitd.service"
assert_match "$before" '\brtslib-fb-targetctl\.service' "Before= of lunkitd.service"

step "D-Bus activation"
systemctl stop lunkitd.service
assert_eq "$(lunkitd_pid || :)" '' "daemon before"
assert_match "$(targets <<<'ls /backstores')" 'user:file' "backstores"
assert_eq "$(systemctl is-active lunkitd.service)" active "unit after activation"

step "hardening"
security=$(systemd-analyze security --no-pager lunkitd.service | tail -n 1)
echo "$security"
level=$(sed -nE 's/.*exposure level for lunkitd.service: ([0-9]+)\.([0-9]).*/\1\2/p' <<<"$security")
[ -n "$level" ] && [ "$level" -le 65 ] || fail "$security"
assert_no_match "$(grep '^Cap' "/proc/$(lunkitd_pid)/status" | grep CapEff)" '1ffffffffff|3fffffffff' "every capability"

step "memory is locked where it is asked"
locked() { awk '/^VmLck:/ { print $2 }' "/proc/$(lunkitd_pid)/status"; }
assert_eq "$(locked)" 0 "locked by default"
cp /etc/lunkit/lunkitd.conf /run/lunkitd.conf
printf '[daemon]\nlock_memory=yes\n' >/etc/lunkit/lunkitd.conf
systemctl restart lunkitd.service
[ "$(locked)" -gt 0 ] || fail "nothing is locked"
mv /run/lunkitd.conf /etc/lunkit/lunkitd.conf
systemctl restart lunkitd.service

step "restart under I/O"
tank
user_lun file d 64M /tank/d
begin_loads "$DISK"
for _ in 1 2 3; do
    sleep 3
    restart_lunkitd
done
end_loads
assert_no_errors
assert_eq "$(systemctl --failed --no-legend | grep -c lunkitd || :)" 0 "failed units"
