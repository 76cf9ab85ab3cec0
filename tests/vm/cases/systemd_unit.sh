# The unit under systemd: activation by targetcli, start and stop, restart under verified load, place in the boot order, and
# files that an image names, which its hardening must leave within reach.
# boot: systemd
# usually: 6.1
# timeout: 480
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

step "metrics over HTTP, for who wants them"
assert_eq "$(systemctl is-enabled lunkit-metrics.socket || :)" disabled "the socket after the installation"
systemctl start lunkit-metrics.socket
cat >/run/fetch.py <<'EOF'
import urllib.request
with urllib.request.urlopen("http://127.0.0.1:9788/metrics", timeout=60) as answer:
    print(answer.status, answer.headers["Content-Type"], answer.read().decode(), sep="\n")
EOF
fetched=$(python3 /run/fetch.py)
echo "$fetched"
assert_match "$fetched" '^200$' "status"
assert_match "$fetched" '^application/openmetrics-text; version=1.0.0' "type"
assert_match "$fetched" '^# EOF$' "metrics"
systemctl stop lunkit-metrics.socket

step "another program's subtype, which targetcli shows and asks about"
cat >/run/tape.py <<'EOF'
from gi.repository import Gio, GLib
NAME = "org.kernel.TCMUService1"
XML = f"""<node><interface name="{NAME}"><property name="ConfigDesc" type="s" access="read"/>
<method name="CheckConfig"><arg type="s" direction="in"/><arg type="b" direction="out"/>
<arg type="s" direction="out"/></method></interface></node>"""
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)


def call(connection, sender, path, interface, method, arguments, invocation):
    invocation.return_value(GLib.Variant("(bs)", (False, "no such tape: " + arguments[0])))


def owned(connection, name):
    print(bus.call_sync(NAME, "/org/kernel/TCMUService1/HandlerManager1", NAME + ".HandlerManager1", "RegisterHandler",
                        GLib.Variant("(ss)", ("tape", "<number>")), None, Gio.DBusCallFlags.NONE, -1), flush=True)


interface = Gio.DBusNodeInfo.new_for_xml(XML).interfaces[0]
bus.register_object("/org/kernel/TCMUService1/HandlerManager1/tape", interface, call)
Gio.bus_own_name_on_connection(bus, NAME + ".HandlerManager1.tape", Gio.BusNameOwnerFlags.NONE, owned, None)
GLib.MainLoop().run()
EOF
python3 /run/tape.py >/run/tape.log 2>&1 & tape=$!
wait_for 30 "its registration" grep -q . /run/tape.log
assert_eq "$(cat /run/tape.log)" "(true, 'registered')" "the answer"
assert_match "$(targets <<<'ls /backstores')" 'user:tape' "backstores"
assert_match "$(targets <<<'/backstores/user:tape create t 1M 7')" 'no such tape: tape/7' "what targetcli says"
kill $tape
wait_for 30 "its end" eval 'shown=$(targets <<<"ls /backstores") && grep -q user:file <<<"$shown" && ! grep -q user:tape <<<"$shown"'

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
