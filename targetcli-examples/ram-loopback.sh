#!/bin/bash
# A disk in memory, 1 GiB of which only what is written takes space; it is removed in the end.
set -eu
here=$(dirname "$0")
"$here/unused" scratch
TARGETCLI_HOME=$(mktemp -d)      # its settings in your home stay as they are
export TARGETCLI_HOME
wwn=naa.5001405000000012
cleanup() {
    targetcli "/loopback delete $wwn" || true
    targetcli "/backstores/user:ram delete scratch" || true
    rm -rf "$TARGETCLI_HOME"
}
trap cleanup EXIT

targetcli <<EOT
set global auto_save_on_exit=false
/backstores/user:ram create name=scratch size=1G cfgstring=scratch
/loopback create $wwn
/loopback/$wwn/luns create /backstores/user:ram/scratch
EOT

disk=$("$here/disk-of" scratch)
dd if=/dev/urandom of="$disk" bs=1M count=16 oflag=direct status=none
blkdiscard "$disk"          # gives the memory back
lunkit list
