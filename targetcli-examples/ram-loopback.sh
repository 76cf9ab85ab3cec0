#!/bin/bash
# A disk in memory, 1 GiB of which only what is written takes space.
set -eu
here=$(dirname "$0")
wwn=naa.5001405000000012
cleanup() {
    targetcli "/loopback delete $wwn" || true
    targetcli "/backstores/user:ram delete scratch" || true
}
trap cleanup EXIT

targetcli <<EOT
/backstores/user:ram create name=scratch size=1G cfgstring=scratch
/loopback create $wwn
/loopback/$wwn/luns create /backstores/user:ram/scratch
EOT

disk=$("$here/disk-of" scratch)
dd if=/dev/urandom of="$disk" bs=1M count=16 oflag=direct status=none
dd if="$disk" bs=1M count=16 iflag=direct status=none | sha256sum
blkdiscard "$disk"          # gives the memory back
lunkit list
