# The unit under systemd: activation by targetcli, start and stop, restart under verified load, place in the boot order, and
# files that an image names, which its hardening must leave within reach.
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

step "an image with a backing file and one with a data file"
tank
random_file /tank/base 4
truncate -s 64M /tank/base
qemu-img create -q -f qcow2 -b base -F raw /tank/overlay
(cd /tank && qemu-img create -q -f qcow2 -o data_file=split.data,data_file_raw=on split 64M)
begins_as_base() { cmp -n $((4 << 20)) "$1" /tank/base; }
read_disk() { dd if="$1" bs=1M count=4 iflag=direct status=none; }
user_lun qcow overlay 64M /tank/overlay
overlay_disk=$DISK
read_disk "$overlay_disk" | begins_as_base -
user_lun qcow split 64M '/tank/split;data_file=confined'
read_disk "$overlay_disk" | dd of="$DISK" bs=1M iflag=fullblock oflag=direct status=none
begins_as_base /tank/split.data
restart_lunkitd     # which opens all of them anew
read_disk "$overlay_disk" | begins_as_base -
read_disk "$DISK" | begins_as_base -

step "a key from a drop-in, see lunkit-qcow(7)"
drop_in=/run/systemd/system/lunkitd.service.d/vol1.conf key=/etc/credstore/lunkit-vol1
mkdir -p "${drop_in%/*}" "${key%/*}"
(umask 077; echo -n "not to be guessed" >$key)
printf '[Service]\nLoadCredential=lunkit-vol1\n' >$drop_in
systemctl daemon-reload
restart_lunkitd
qemu-img create -q -f qcow2 --object secret,id=k,file=$key \
    -o encrypt.format=luks,encrypt.key-secret=k,encrypt.iter-time=10 /tank/vol1 16M
user_lun qcow vol1 16M '/tank/vol1;secret_credential=lunkit-vol1'
read_disk "$overlay_disk" | dd of="$DISK" bs=1M iflag=fullblock oflag=direct status=none
restart_lunkitd
read_disk "$DISK" | begins_as_base -

step "restart under I/O"
user_lun file d 64M /tank/d
begin_loads "$DISK"
for _ in 1 2 3; do
    sleep 3
    restart_lunkitd
done
end_loads
assert_no_errors
rm $drop_in $key
systemctl daemon-reload
assert_eq "$(systemctl --failed --no-legend | grep -c lunkitd || :)" 0 "failed units"
