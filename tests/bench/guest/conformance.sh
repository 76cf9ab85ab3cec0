#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# conformance.sh FILE [REGEX]: libiscsi's suite on a LUN of lunkit, of tcmu-runner and of LIO's fileio, all of them there at once. FILE
# gets a line for each test: its name and the three results. Prints how often each came.
LUNKIT_VM=/lunkit/vm
. "$LUNKIT_VM/libiscsi.sh"

# Both daemons hear of each device. tcmu-runner refuses what it does not know: its own is made last, and is left alone by lunkitd.
# Its D-Bus name is ours as well.
rm -f /usr/share/dbus-1/system-services/org.kernel.TCMUService1.service
mkdir /run/handlers
cp "$(find /usr/lib -name handler_file.so)" /run/handlers/
printf '[daemon]\nhandler_dir=/run/handlers\n[tcmu]\nforeign_subtypes=ignore\n' >/run/conformance.conf
mount -t tmpfs -o size=4G tank /tank
start_lunkitd --config /run/conformance.conf
targets_ok <<'EOT'
/backstores/user:file create name=lunkit size=256M cfgstring=/tank/lunkit
/backstores/fileio create name=fileio file_or_dev=/tank/fileio size=256M
/backstores/fileio/fileio set attribute emulate_tpu=1
EOT
libiscsi_export /backstores/user:file/lunkit /backstores/fileio/fileio

bus=unix:path=/run/peer-bus
dbus-daemon --session --fork --address=$bus
DBUS_SYSTEM_BUS_ADDRESS=$bus tcmu-runner >/dev/null 2>&1 &
wait_for 20 "tcmu-runner" grep -q qcow /var/log/tcmu-runner.log
sleep 3    # it tells of its handlers before it listens to the kernel
truncate -s 256M /tank/tcmu-runner
peer=$CONFIGFS/core/user_99/tcmu-runner
mkdir -p "$peer"
echo dev_config=qcow//tank/tcmu-runner,dev_size=$((256 << 20)) >"$peer/control"
echo 1 >"$peer/enable"
mkdir "$CONFIGFS/iscsi/$IQN/tpgt_1/lun/lun_2"
ln -s "$peer" "$CONFIGFS/iscsi/$IQN/tpgt_1/lun/lun_2/lun"
wait_for 20 "tcmu-runner's LUN" iscsi-inq "$URL/2"

names=(lunkit fileio tcmu-runner)
for lun in 0 1 2; do
    for test in $(libiscsi_tests "${2:-.}"); do libiscsi_result $lun "$test"; done | sort >"/tank/results-$lun"
    printf '%-12s %s\n' "${names[lun]}" "$(awk '{ count[$2]++ } END { for (verdict in count) printf "%s %d  ", verdict, count[verdict] }' \
        "/tank/results-$lun")"
done
join /tank/results-0 <(join /tank/results-2 /tank/results-1) >"$1"
