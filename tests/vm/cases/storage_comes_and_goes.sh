# Storage whose faults come and go: a device that fails for seconds (dm-flakey), a quota, a device that is taken
# away. What was acknowledged is there afterwards, and every command ends.
# kernels: 6.1
# timeout: 300
# allow: I/O error|offline|rejecting I/O|Synchronizing SCSI cache
. "$LUNKIT_VM/lib.sh"

mkfs.xfs -q -f /dev/scratch-disk
mount -o prjquota /dev/scratch-disk /tank
start_lunkitd
modprobe brd rd_nr=1 rd_size=65536
modprobe dm_flakey
modprobe scsi_debug dev_size_mb=64 sector_size=512 removable=0
taken=$(disk_at 20 "$(basename /sys/bus/pseudo/drivers/scsi_debug/adapter0/host*/target*/[0-9]*:0)")
dm_device flakey "0 131072 linear /dev/ram0 0"
mkdir /tank/project
xfs_quota -x -c 'project -s -p /tank/project 42' -c 'limit -p bhard=8m 42' /tank >/dev/null
targets_ok < <(
    echo '/backstores/user:file create name=flakey size=64M cfgstring=/dev/mapper/flakey;direct=on'
    echo '/backstores/user:file create name=quota size=64M cfgstring=/tank/project/disk'
    echo "/backstores/user:file create name=taken size=64M cfgstring=$taken;direct=on"
    loopback_lines /backstores/user:file/{flakey,quota,taken}
)
table() { # table NAME TABLE: the device is that from now on
    dmsetup suspend --noflush "$1"
    dmsetup load "$1" --table "$2"
    dmsetup resume "$1"
}

step "a device that works for a second and fails for a second"
SG=$(sg_of "$(loop_disk_of flakey)")
table flakey "0 131072 flakey /dev/ram0 0 1 1"
good=() bad=0
for ((block = 0; block < 60; block++)); do
    printf 'block %03d%0503d' $block 0 >"/tank/block.$block"
    if sg_raw -s 512 -i "/tank/block.$block" "$SG" 2a 00 $(be32 $block) 00 00 01 00 >/tank/said 2>&1; then
        good+=("$block")
    else
        grep -q 'Medium Error' /tank/said || fail "block $block: $(cat /tank/said)"
        bad=$((bad + 1))
    fi
    sleep 0.1
done
echo "${#good[@]} writes good, $bad failed"
[ ${#good[@]} -gt 0 ] && [ $bad -gt 0 ] || fail "the device did not come and go"
table flakey "0 131072 linear /dev/ram0 0"
for block in "${good[@]}"; do
    dd if=/dev/ram0 bs=512 skip="$block" count=1 iflag=direct status=none | cmp - "/tank/block.$block"
done

step "a quota: SPACE ALLOCATION FAILED WRITE PROTECT"
SG=$(sg_of "$(loop_disk_of quota)")
random_file /tank/data 1
for ((mib = 0; mib < 7; mib++)); do sg_dd if=/tank/data of="$SG" bs=512 seek=$((mib * 2048)) bpt=128 2>/dev/null; done
over() { for ((mib = 7; mib < 16; mib++)); do sg_dd if=/tank/data of="$SG" bs=512 seek=$((mib * 2048)) bpt=128 || return; done; }
sense 'Data Protect' 'Space allocation failed write protect' over
sg_dd if="$SG" of=/tank/back bs=512 skip=4096 count=2048 2>/dev/null
cmp /tank/back /tank/data

step "a device that is taken away"
SG=$(sg_of "$(loop_disk_of taken)")
cdb_in 512 28 00 $(be32 0) 00 00 01 00 >/dev/null
echo 1 >"/sys/block/${taken##*/}/device/delete"
sense '(Medium|Hardware) Error|Not Ready' '.' sg_raw -r 512 "$SG" 28 00 $(be32 0) 00 00 01 00
sense '(Medium|Hardware) Error|Not Ready' '.' sg_sync "$SG"
sg_raw "$SG" 00 00 00 00 00 00 || :
targets_ok <<<'clearconfig confirm=True'
stop_lunkitd
dmsetup remove --retry flakey
rmmod scsi_debug
