#!/bin/bash
# Serves a whole block device without the page cache in between (direct=on).
# usage: block-device.sh [DEVICE]     DEVICE must not be in use; it is served read-only, and not written to.
#                                     (default: a loop device on a file of its own, which is written to)
set -eu
here=$(dirname "$0")
"$here/unused" raw
TARGETCLI_HOME=$(mktemp -d)      # its settings in your home stay as they are
export TARGETCLI_HOME
wwn=naa.5001405000000014
device=${1:-}
backing=
options='direct=on;readonly=on'
if [ -z "$device" ]; then
    backing=$(mktemp --tmpdir=/var/tmp)
    options=direct=on
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
/backstores/user:file create name=raw size=$size cfgstring=$device;$options
/loopback create $wwn
/loopback/$wwn/luns create /backstores/user:file/raw
EOT
disk=$("$here/disk-of" raw)
[ -z "$backing" ] || dd if=/dev/urandom of="$disk" bs=1M count=8 oflag=direct status=none
cmp --bytes=$((8 << 20)) "$disk" "$device" && echo "the disk and the device hold the same bytes"
