#!/bin/bash
# A mirror of device-mapper whose dirty log lunkitd keeps, in a file: after a crash of the machine only those regions are copied
# that were being written, and the daemon may be restarted, or die, at any time. See lunkit-dm-log(7).
# usage: mirror.sh [LEG LEG]     Block devices of one size; the second is overwritten with the first.
#                                (default: loop devices on files of its own, which are written to)
set -eu
name=lunkit-example
region=2048                     # sectors of 512 bytes: 1 MiB
folder=$(mktemp -d --tmpdir=/var/tmp)
legs=("$@")
loops=()
is_made=no
cleanup() {
    [ $is_made = no ] || dmsetup remove --retry "$name"
    [ ${#loops[@]} = 0 ] || losetup -d "${loops[@]}"
    rm -rf "$folder"
}
trap cleanup EXIT

if [ ${#legs[@]} = 0 ]; then
    modprobe loop
    for leg in 0 1; do
        dd if=/dev/urandom of="$folder/leg$leg" bs=1M count=16 status=none
        loops+=("$(losetup --find --show "$folder/leg$leg")")
    done
    legs=("${loops[@]}")
fi
sectors=$(blockdev --getsz "${legs[0]}")
regions=$(((sectors + region - 1) / region))
truncate -s 1M "$folder/log"    # 1 KiB and a bit for each region

modprobe dm_mirror
# Five words from the uuid to the region size; the uuid is any word that no other mirror has.
dmsetup create $name --table \
    "0 $sectors mirror userspace 5 $name integrated_flush disk $folder/log $region 2 ${legs[0]} 0 ${legs[1]} 0 1 handle_errors"
is_made=yes
dmsetup mknodes $name           # where no udev does that
echo "copying ${legs[0]} to ${legs[1]}"
for _ in $(seq 600); do
    ! dmsetup status $name | grep -q " $regions/$regions " || break
    sleep 0.5
done
lunkit dm-log list

if [ ${#loops[@]} != 0 ]; then
    dd if=/dev/urandom of=/dev/mapper/$name bs=1M count=4 oflag=direct status=none
fi
lunkit dm-log dump $name        # what is being written would be copied after a crash
cmp "${legs[0]}" "${legs[1]}" && echo "both legs hold the same bytes"
