#!/bin/bash
# Serves a file as a local SCSI disk, puts a file system on it, and takes everything down again.
# usage: file-loopback.sh [IMAGE]     (default /var/lib/lunkit/example.img; must not be there: it is made, 256 MiB, and removed)
set -eu
here=$(dirname "$0")
image=${1:-/var/lib/lunkit/example.img}
"$here/unused" example "$image"
TARGETCLI_HOME=$(mktemp -d)      # its settings in your home stay as they are
export TARGETCLI_HOME
wwn=naa.5001405000000011
mount=$(mktemp -d)
cleanup() {
    umount "$mount" 2>/dev/null || true
    rmdir "$mount"
    targetcli "/loopback delete $wwn" || true
    targetcli "/backstores/user:file delete example" || true
    rm -f "$image"
    rm -rf "$TARGETCLI_HOME"
}
trap cleanup EXIT
mkdir -p "$(dirname "$image")"

targetcli <<EOT
set global auto_save_on_exit=false
/backstores/user:file create name=example size=256M cfgstring=$image
/loopback create $wwn
/loopback/$wwn/luns create /backstores/user:file/example
EOT

disk=$("$here/disk-of" example)
mkfs.ext4 -q "$disk"
mount "$disk" "$mount"
echo "hello from $disk" >"$mount/hello"
sync
cat "$mount/hello"
lunkit list
