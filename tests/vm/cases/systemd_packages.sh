# The Debian packages on a machine with systemd: installed in the place of tcmu-runner's, upgraded under verified load without
# an error, removed and purged until nothing is left.
# boot: packages
# kernels: 6.12
# timeout: 600
. "$LUNKIT_VM/lib.sh"
packages=/lunkit/share
export DEBIAN_FRONTEND=noninteractive

# make_package FOLDER FILE: a package of the tree; the compression is not what is tested.
make_package() { dpkg-deb -Znone --root-owner-group --build "$1" "$2" >/dev/null; }
status_of() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || echo none; }
# files_of_machine: but for what changes by itself and dpkg's own notes.
files_of_machine() { find /etc /usr /var/lib /dev/shm ! -type d ! -path '/var/lib/dpkg/*' | sort; }

step "a machine that has had tcmu-runner"
files_of_machine >/run/files-before
activation=usr/share/dbus-1/system-services/org.kernel.TCMUService1.service
mkdir -p "/run/old/DEBIAN" "/run/old/${activation%/*}"
printf '%s\n' 'Package: tcmu-runner' 'Version: 1.5.4-4' 'Architecture: all' 'Maintainer: nobody <nobody@localhost>' \
    'Description: stands for the real one' >/run/old/DEBIAN/control
printf '%s\n' '[D-BUS Service]' 'Name=org.kernel.TCMUService1' 'Exec=/bin/false' 'User=root' >/run/old/$activation
make_package /run/old /run/tcmu-runner.deb
dpkg -i /run/tcmu-runner.deb

step "install"
dpkg -i $packages/lunkit_*.deb $packages/lunkit-handlers-qcow_*.deb $packages/lunkit-dev_*.deb
assert_no_match "$(status_of tcmu-runner)" '^installed' "tcmu-runner, which lunkit replaces"
assert_eq "$(systemctl is-active lunkitd.service)" active "unit after the installation"
assert_eq "$(systemctl is-enabled lunkitd.service)" enabled "unit at the next boot"
assert_eq "$(dpkg --verify lunkit lunkit-dev lunkit-handlers-qcow | grep -v -e /usr/share/doc/ -e /usr/share/man/ || :)" '' "changed or missing files"
wait_for 30 "lunkitd on D-Bus" bus_name_taken
assert_match "$(lunkit handlers)" '^qcow' "handlers"

step "LUNs"
tank
qemu-img create -q -f qcow2 /tank/q 64M
user_lun qcow q 64M /tank/q
qcow_disk=$DISK
random_file /tank/data 2
dd if=/tank/data of="$qcow_disk" bs=1M oflag=direct status=none
user_lun file d 64M /tank/d

step "upgrade under I/O"
sed -i 's/^#log_level=info/log_level=notice/' /etc/lunkit/lunkitd.conf
for name in lunkit lunkit-handlers-qcow; do
    dpkg-deb -R $packages/${name}_*.deb /run/next
    sed -i 's/^Version: .*/&+next/' /run/next/DEBIAN/control
    make_package /run/next /run/$name-next.deb
    rm -r /run/next
done
fio --name=load --filename="$DISK" --ioengine=libaio --direct=1 --iodepth=16 --rw=randrw --bsrange=4k-64k --size=32M \
    --verify=crc32c --verify_fatal=1 --verify_backlog=256 --time_based --runtime=250 --minimal >/tank/fio.out 2>&1 &
load=$!
sleep 3
pid=$(lunkitd_pid)
dpkg -i /run/lunkit-next.deb /run/lunkit-handlers-qcow-next.deb
sleep 3
[ -d /proc/$load ] || fail "fio ended early: $(cat /tank/fio.out)"
status=0
kill $load
wait $load || status=$?
assert_eq $status 128 "status of fio, 128: ended by a signal, with no error until then; $(cat /tank/fio.out)"
new_pid=$(lunkitd_pid)
[ "$new_pid" != "$pid" ] || fail "the old daemon still runs"
assert_eq "$(readlink "/proc/$new_pid/exe")" /usr/sbin/lunkitd "program of the new daemon"
assert_match "$(dpkg-query -W -f '${Version}' lunkit)" '\+next$' "version"
grep -q '^log_level=notice' /etc/lunkit/lunkitd.conf || fail "the administrator's setting is gone"
dd if="$qcow_disk" bs=1M count=2 iflag=direct status=none | cmp - /tank/data
assert_match "$(lunkit list)" qcow "the devices that are served"
assert_no_errors
assert_eq "$(systemctl --failed --no-legend | grep -c lunkitd || :)" 0 "failed units"

step "remove"
targets_ok <<EOT
/loopback delete $(loopback_wwn /backstores/user:file/d)
/loopback delete $(loopback_wwn /backstores/user:qcow/q)
/backstores/user:file delete d
/backstores/user:qcow delete q
EOT
dpkg -r lunkit-handlers-qcow
assert_no_match "$(lunkit handlers)" '^qcow' "handlers after qcow's package was removed"
ublk=$(lunkit ublk add file//tank/d)
said=$(dpkg -r lunkit-dev lunkit 2>&1)
echo "$said"
assert_match "$said" "nobody will serve.* ublk ${ublk#/dev/}" "what the removal tells of ublk devices"
assert_eq "$(lunkitd_pid || :)" '' "daemon after the removal"
assert_eq "$(systemctl show -P LoadState lunkitd.service)" not-found "unit after the removal"
[ -e /etc/lunkit/lunkitd.conf ] || fail "a removal took the settings, too"

step "install again: enabled, with the settings as they were, and the device that was left"
dpkg -i $packages/lunkit_*.deb
assert_eq "$(systemctl is-active lunkitd.service) $(systemctl is-enabled lunkitd.service)" 'active enabled' "unit"
grep -q '^log_level=notice' /etc/lunkit/lunkitd.conf || fail "the administrator's setting is gone"
wait_for 30 "the ublk device to be served" eval '[ "$(lunkit ublk list --json | jq -r ".[].state")" = running ]'
cmp "$ublk" /tank/d
lunkit ublk del "$ublk"

step "purge: what is ours, and no more"
(umask 077; echo "the only key of an image" >/etc/lunkit/vol1.key)
mkdir -p /var/lib/lunkit
echo "an image" >/var/lib/lunkit/vol1.img
dpkg -P lunkit lunkit-handlers-qcow lunkit-dev tcmu-runner
assert_eq "$(lunkitd_pid || :)" '' "daemon after the purge"
assert_eq "$(ls -A /etc/lunkit) $(ls -A /var/lib/lunkit)" 'vol1.key vol1.img' "what is left of the folders"
rm -r /etc/lunkit /var/lib/lunkit
diff /run/files-before <(files_of_machine) || fail "left behind or taken away"
[ ! -e /run/lunkit ] || fail "/run/lunkit is left behind: $(ls -A /run/lunkit)"
