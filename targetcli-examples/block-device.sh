#!/bin/bash
# Serves a whole block device without the page cache in between (direct=on).
# usage: block-device.sh [DEVICE]     (default: a loop device on a file of its own)
set -eu
here=$(dirname "$0")
TARGETCLI_HOME=$(mktemp -d)      # its settings in your home stay as they are
export TARGETCLI_HOME
wwn=naa.5001405000000014
device=${1:-}
backing=
if [ -z "$device" ]; then
    backing=$(mktemp --tmpdir=/var/tmp)
    truncate -s 128M "$backing"
    modprobe loop
    device=$(losetup --find --show "$backing")
fi
size=$(blockdev --getsize64 "$device")
cleanup() {
    targetcli "/loopback delete $wwn" || true
    targetcli "/backstores/user:file delete raw" || true
    [ -z "$backing" ] || { losetup -d "$device"; rm -f "$backing"; }
    rm -rf "$TARGETCLI_HOME"
}
trap cleanup EXIT

targetcli <<EOT
set global auto_save_on_exit=false
/backstores/user:file create name=raw size=$size cfgstring=$device;direct=on
/loopback create $wwn
/loopback/$wwn/luns create /backstores/user:file/raw
EOT
disk=$("$here/disk-of" raw)
dd if=/dev/urandom of="$disk" bs=1M count=8 oflag=direct status=none
cmp --bytes=$((8 << 20)) "$disk" "$device" && echo "the disk and the device hold the same bytes"
