# Storage that fails: bad sectors, a device that turns bad, a full file system, an image truncated underneath. Each is told to
# the initiator by the right sense data and to the operator by a line in the log, and hurts no other LUN.
# usually: 6.1
# timeout: 360
# allow: I/O error
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
modprobe brd rd_nr=2 rd_size=65536
# 16 MiB are good, then 1 MiB (LBA 32768 to 34815) fails whatever is asked.
dm_device partly "0 32768 linear /dev/ram0 0
32768 2048 error
34816 96256 linear /dev/ram0 34816"
dm_device whole "0 131072 linear /dev/ram1 0"
mkdir /tank/small
mount -t tmpfs -o size=8M small /tank/small
targets_ok < <(
    echo '/backstores/user:file create name=partly size=64M cfgstring=/dev/mapper/partly;direct=on'
    echo '/backstores/user:file create name=whole size=64M cfgstring=/dev/mapper/whole'
    echo '/backstores/user:file create name=full size=64M cfgstring=/tank/small/full'
    echo '/backstores/user:file create name=cut size=64M cfgstring=/tank/cut'
    echo '/backstores/user:file create name=good size=64M cfgstring=/tank/good'
    loopback_lines /backstores/user:file/{partly,whole,full,cut,good}
)
good=$(loop_disk_of good)
watch_errors "$good"
fio --name=good --filename="$good" --ioengine=libaio --direct=1 --iodepth=4 --rw=randrw --bs=4k --size=32M --verify=crc32c \
    --verify_fatal=1 --verify_backlog=64 --time_based --runtime=1000 --minimal >/tank/fio.good 2>&1 &
load=$!
random_file /tank/data 1
head -c 4096 /tank/data >/tank/eight

step "bad sectors: MEDIUM ERROR with the address"
SG=$(sg_of "$(loop_disk_of partly)")
sense 'Medium Error' 'Unrecovered read error' sg_raw -r 4096 "$SG" 28 00 00 00 80 00 00 00 08 00
assert_match "$output" '0x8000|32768' "address of the bad block"
sense 'Medium Error' 'Write error' sg_raw -s 4096 -i /tank/eight "$SG" 2a 00 00 00 80 08 00 00 08 00
sg_raw -s 4096 -i /tank/eight "$SG" 2a 00 00 00 90 00 00 00 08 00
cdb_in 4096 28 00 00 00 90 00 00 00 08 00 | cmp - /tank/eight

step "a device that turns bad: the flush tells, and goes on telling"
SG=$(sg_of "$(loop_disk_of whole)")
sg_raw -s 4096 -i /tank/eight "$SG" 2a 00 00 00 00 00 00 00 08 00
dmsetup suspend --noflush whole
dmsetup load whole --table "0 131072 error"
dmsetup resume whole
sense '(Medium|Hardware) Error' '(Write error|Internal target failure)' sg_sync "$SG"
dmsetup suspend --noflush whole
dmsetup load whole --table "0 131072 linear /dev/ram1 0"
dmsetup resume whole
sense '(Medium|Hardware) Error' '(Write error|Internal target failure)' sg_sync "$SG"
log_says 'whole.*(flush|sync)' || fail "the log does not tell of the flush that failed"

step "a flush that no command asked for: the next command has the deferred error"
assert_fails "switching the cache off" eval 'echo 0 >"$(echo "$CONFIGFS"/core/user_*/whole/attrib/emulate_write_cache)"'
sense 'deferred' 'Write error' sg_raw "$SG" 00 00 00 00 00 00
sg_raw "$SG" 00 00 00 00 00 00

step "a full file system: SPACE ALLOCATION FAILED WRITE PROTECT"
SG=$(sg_of "$(loop_disk_of full)")
for ((mib = 0; mib < 7; mib++)); do sg_dd if=/tank/data of="$SG" bs=512 seek=$((mib * 2048)) bpt=128 2>/dev/null; done
full() { for ((mib = 7; mib < 16; mib++)); do sg_dd if=/tank/data of="$SG" bs=512 seek=$((mib * 2048)) bpt=128 || return; done; }
sense 'Data Protect' 'Space allocation failed write protect' full
sg_dd if="$SG" of=/tank/back bs=512 skip=4096 count=2048 2>/dev/null
cmp /tank/back /tank/data
umount -l /tank/small

step "an image truncated underneath"
SG=$(sg_of "$(loop_disk_of cut)")
sg_dd if=/tank/data of="$SG" bs=512 seek=2048 2>/dev/null
truncate -s 1M /tank/cut
sense 'Medium Error' 'Unrecovered read error' sg_raw -r 4096 "$SG" 28 00 00 00 08 00 00 00 08 00
cdb_in 512 28 00 00 00 00 00 00 00 01 00 >/dev/null

step "the neighbour has noticed nothing"
kill -INT $load
wait $load || :
assert_eq "$(grep '^3;' /tank/fio.good | cut -d';' -f5)" 0 "fio's error: $(cat /tank/fio.good)"
assert_no_errors
targets_ok <<<'clearconfig confirm=True'
stop_lunkitd
dmsetup remove --retry partly
dmsetup remove --retry whole
