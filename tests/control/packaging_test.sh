#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The packaged files are well formed, and mean what they should.
# Usage: packaging_test.sh ROOT
set -u
packaging=${1:?usage: packaging_test.sh ROOT}/packaging
folder=$(mktemp -d)
trap 'rm -rf "$folder"; [ -n "${bus:-}" ] && kill "$bus"' EXIT
failed=0
complain() {
    echo "$*"
    failed=1
}

# The policy: a bus takes it, and only root owns the name and may call.
cat >"$folder/bus.conf" <<EOF
<busconfig><listen>unix:path=$folder/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><deny own="*"/><allow send_destination="org.freedesktop.DBus"/>
<allow receive_type="method_return"/><allow receive_type="error"/></policy>
<include>$packaging/org.lunkit.conf</include></busconfig>
EOF
coproc BUS { exec dbus-daemon --nofork --nopidfile --nosyslog --config-file="$folder/bus.conf" --print-address=1 2>"$folder/errors"; }
bus=$BUS_PID
if ! read -r -t 10 address <&"${BUS[0]}"; then
    complain "the bus does not take the policy: $(cat "$folder/errors")"
    exit 1
fi
as_user=()
if [ "$(id -u)" -eq 0 ]; then
    chmod 711 "$folder"
    as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
for name in org.kernel.TCMUService1 org.kernel.TCMUService1.HandlerManager1.tape; do
    request=(gdbus call --address "$address" --dest org.freedesktop.DBus --object-path /org/freedesktop/DBus
        --method org.freedesktop.DBus.RequestName $name 0)
    if [ "$(id -u)" -eq 0 ]; then
        answer=$("${request[@]}" 2>&1)
        [ "$answer" = "(uint32 1,)" ] || complain "root may not own $name: $answer"
    fi
    answer=$("${as_user[@]}" "${request[@]}" 2>&1)
    [[ $answer == *AccessDenied* ]] || complain "a user may own $name: $answer"
done

# The units: systemd reads them without a complaint of its own.
if command -v systemd-analyze >/dev/null; then
    for unit in lunkitd.service lunkit-metrics@.service; do
        sed -E 's|=@s?bindir@/[a-z]+|=/bin/true|' "$packaging/$unit.in" >"$folder/$unit"
    done
    cp "$packaging/lunkit-metrics.socket" "$folder"
    found=$(systemd-analyze verify --man=no "$folder/lunkitd.service" "$folder/lunkit-metrics.socket" 2>&1 | grep -F lunkit)
    [ -z "$found" ] || complain "$found"
fi

# What would keep a daemon from the files, devices and networks that it serves.
if grep -nE '^(PrivateTmp|PrivateDevices|PrivateNetwork|PrivateMounts|PrivateUsers|ProtectHome|ProtectSystem|ProtectKernelTunables|ProtectKernelModules|ProtectClock|DeviceAllow|DevicePolicy|RestrictAddressFamilies|RestrictNamespaces)=' "$packaging/lunkitd.service.in"; then
    complain "the lines above break what lunkitd serves"
fi

# The list of packages: the script reads it, and sees a package that is missing.
"$packaging/install-build-deps" /nowhere 2>/dev/null && complain "a list that is not there is not noticed"
echo "no-such-package-of-lunkit # a comment" >"$folder/list"
if [ "$(id -u)" -ne 0 ]; then
    answer=$("$packaging/install-build-deps" "$folder/list" 2>&1) && complain "missing packages are not noticed"
    [[ $answer == *"needs root"* ]] || complain "it does not say that it needs root: $answer"
fi
exit $failed
