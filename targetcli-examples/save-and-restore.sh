#!/bin/bash
# Saves the configuration, clears it as a reboot would, and restores it: the LUN comes back with its data.
set -eu
here=$(dirname "$0")
image=${1:-/var/lib/lunkit/example-saved.img}
saved=$(mktemp)
wwn=naa.5001405000000015
cleanup() {
    targetcli "/loopback delete $wwn" || true
    targetcli "/backstores/user:file delete saved" || true
    rm -f "$image" "$saved"
}
trap cleanup EXIT
mkdir -p "$(dirname "$image")"

targetcli <<EOT
/backstores/user:file create name=saved size=64M cfgstring=$image
/loopback create $wwn
/loopback/$wwn/luns create /backstores/user:file/saved
EOT
echo "still here" | dd of="$("$here/disk-of" saved)" bs=512 conv=sync oflag=direct status=none

targetcli "saveconfig $saved"
targetcli "clearconfig confirm=True"
targetcli "restoreconfig $saved"
head -c 10 "$("$here/disk-of" saved)"; echo
