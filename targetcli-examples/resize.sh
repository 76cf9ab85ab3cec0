#!/bin/bash
# Grows a LUN while it is in use.
# usage: resize.sh [IMAGE]     (default /var/lib/lunkit/example-grow.img; must not be there: it is made, 64 MiB, and removed)
set -eu
here=$(dirname "$0")
image=${1:-/var/lib/lunkit/example-grow.img}
"$here/unused" grow "$image"
TARGETCLI_HOME=$(mktemp -d)      # its settings in your home stay as they are
export TARGETCLI_HOME
wwn=naa.5001405000000013
cleanup() {
    targetcli "/loopback delete $wwn" || true
    targetcli "/backstores/user:file delete grow" || true
    rm -f "$image"
    rm -rf "$TARGETCLI_HOME"
}
trap cleanup EXIT
mkdir -p "$(dirname "$image")"

targetcli <<EOT
set global auto_save_on_exit=false
/backstores/user:file create name=grow size=64M cfgstring=$image
/loopback create $wwn
/loopback/$wwn/luns create /backstores/user:file/grow
EOT
disk=$("$here/disk-of" grow)
echo "before: $(blockdev --getsize64 "$disk")"

targetcli "/backstores/user:file/grow set attribute dev_size=$((128 << 20))"
echo 1 >"/sys/block/$(basename "$disk")/device/rescan"      # the initiator asks for the capacity again
echo "after:  $(blockdev --getsize64 "$disk")"
[ "$(blockdev --getsize64 "$disk")" -eq $((128 << 20)) ]
