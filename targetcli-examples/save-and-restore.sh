#!/bin/bash
# Saves the configuration, clears it as a reboot would, and restores it: the LUN comes back with its data.
# usage: save-and-restore.sh [IMAGE]     (default /var/lib/lunkit/example-saved.img; must not be there: it is made, 64 MiB, and removed)
# Clears the whole configuration of this machine's target, so it refuses where there is one.
set -eu
for other in /sys/kernel/config/target/core/*_*/*/; do
    [ ! -d "$other" ] || { echo "this machine has backstores already; clearconfig would take them down" >&2; exit 1; }
done
here=$(dirname "$0")
image=${1:-/var/lib/lunkit/example-saved.img}
"$here/unused" saved "$image"
TARGETCLI_HOME=$(mktemp -d)      # its settings in your home stay as they are
export TARGETCLI_HOME
saved=$(mktemp)
wwn=naa.5001405000000015
cleanup() {
    targetcli "/loopback delete $wwn" || true
    targetcli "/backstores/user:file delete saved" || true
    rm -f "$image" "$saved"
    rm -rf "$TARGETCLI_HOME"
}
trap cleanup EXIT
mkdir -p "$(dirname "$image")"

targetcli <<EOT
set global auto_save_on_exit=false
/backstores/user:file create name=saved size=64M cfgstring=$image
/loopback create $wwn
/loopback/$wwn/luns create /backstores/user:file/saved
EOT
echo "still here" | dd of="$("$here/disk-of" saved)" bs=512 conv=sync oflag=direct status=none

targetcli "saveconfig $saved"
targetcli "clearconfig confirm=True"
targetcli "restoreconfig $saved"
[ "$(head -c 10 "$("$here/disk-of" saved)")" = "still here" ] && echo "the LUN is back with its data"
