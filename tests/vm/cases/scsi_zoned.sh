# A host managed zoned disk: what the kernel and the tools see of it, its rules, and fio's zbd mode, verified, with the daemon
# killed meanwhile.
# timeout: 300
# kernels: 6.12
. "$LUNKIT_VM/lib.sh"

tank ext4
start_lunkitd
random_file /tank/other 1
said=$(targets <<<'/backstores/user:zbc create name=wrong size=1M cfgstring=/tank/other' || :)
assert_match "$said" 'holds no zones' "targetcli, a file of something else"
targets_ok < <(
    echo '/backstores/user:zbc create name=z size=64M cfgstring=/tank/z;zone_size=1M;conventional=2;max_open=4'
    loopback_lines /backstores/user:zbc/z
)
DISK=$(loop_disk_of z)
SG=$(sg_of "$DISK")
queue=/sys/block/${DISK##*/}/queue
# zone N: its line of blkzone.        is_zone N WRITTEN CONDITION: with hexadecimal sectors.
zone() { blkzone report -o $(($1 * 2048)) -c 1 "$DISK"; }
is_zone() { assert_match "$(zone "$1")" "wptr 0x0*$2 .*zcond:.*\($3\)" "zone $1"; }

step "what the kernel and the tools see"
assert_eq "$(cat "$queue/zoned")" host-managed "model"
assert_eq "$(cat "$queue/chunk_sectors") $(cat "$queue/nr_zones") $(cat "$queue/max_open_zones")" '2048 64 4' "zones"
assert_eq "$(blkzone report "$DISK" | grep -c 'SEQ_WRITE_REQUIRED')" 62 "sequential zones"
assert_match "$(sg_inq "$SG")" 'PDT=(20|0x14)' "sg_inq"
assert_match "$(sg_vpd -p zbdch "$SG")" 'URSWRZ: *1|URSWRZ.*yes' "sg_vpd"
assert_match "$(sg_opcodes "$SG")" 'Report zones' "sg_opcodes"
assert_match "$(sg_rep_zones --num=3 "$SG")" 'Sequential write required' "sg_rep_zones"

step "its rules"
random_file /tank/data 1
dd if=/tank/data of="$DISK" bs=64k count=1 seek=32 oflag=direct status=none
is_zone 2 80 oi
cmp -n 65536 /tank/data <(dd if="$DISK" bs=64k skip=32 count=1 iflag=direct status=none)
head -c 4096 /tank/data >/tank/blocks
sense 'Illegal Request' 'Unaligned write command' sg_raw -s 4096 -i /tank/blocks "$SG" 8a 00 $(be64 4096) $(be32 8) 00 00
sense 'Illegal Request' 'Write boundary violation' sg_raw -s 4096 -i /tank/blocks "$SG" 8a 00 $(be64 4092) $(be32 8) 00 00
sense 'Illegal Request' 'Attempt to read invalid data' sg_raw -r 4096 "$SG" 88 00 $(be64 4092) $(be32 8) 00 00
for zone in 3 4 5; do sg_zone --open --zone=$((zone * 2048)) "$SG"; done
is_zone 3 0 oe
sg_zone --open --zone=$((6 * 2048)) "$SG"
is_zone 2 80 cl
sense 'Data Protect' 'Insufficient zone resources' sg_raw "$SG" 94 03 $(be64 $((7 * 2048))) 00 00 00 00 00 00
sg_zone --close --all "$SG"
is_zone 3 0 em
sg_zone --finish --zone=$((3 * 2048)) "$SG"
assert_match "$(zone 3)" '\(fu\)' "a finished zone"
sg_reset_wp --zone=$((3 * 2048)) "$SG"
blkzone reset "$DISK" -o 4096 -c 1
is_zone 2 0 em

step "fio, the daemon killed meanwhile"
watch_errors "$DISK"
# Three kills at least, and more where none of them met a command that the daemon had begun.
for round in {1..12}; do
    fio --filename="$DISK" --direct=1 --zonemode=zbd --ioengine=libaio --iodepth=4 --rw=write --bs=32k --size=6M \
        --verify=crc32c --verify_fatal=1 --do_verify=1 --job_max_open_zones=2 --minimal \
        --name=a --offset=2M --name=b --offset=20M >/tank/fio 2>&1 &
    fio=$!
    until read -r _ writes <"/sys/block/${DISK##*/}/inflight" && [ "$writes" -gt 0 ]; do
        [ -d /proc/$fio ] || fail "fio ended early: $(cat /tank/fio)"
    done
    sleep 0.$((RANDOM % 4))
    kill_lunkitd
    start_lunkitd
    wait $fio || fail "fio: $(cat /tank/fio)"
    if [ "$round" -ge 3 ] && lunkitd_log | grep 'commands that the predecessor had begun'; then break; fi
    [ "$round" -lt 12 ] || fail "no kill hit a command in flight"
done
assert_no_errors
assert_match "$(zone 2)" '\(fu\)' "a zone that fio filled"

step "conventional zones, and what a restart leaves"
dd if=/tank/data of="$DISK" bs=4k seek=100 count=100 oflag=direct status=none
before=$(blkzone report "$DISK")
stop_lunkitd
start_lunkitd
assert_eq "$(blkzone report "$DISK")" "$before" "the zones after a restart"
cmp -n 409600 /tank/data <(dd if="$DISK" bs=4k skip=100 count=100 iflag=direct status=none)
used=$(allocated /tank/z)
blkzone reset "$DISK"
assert_eq "$(blkzone report "$DISK" | grep -c '(em)')" 62 "empty zones"
[ "$(allocated /tank/z)" -lt $((used - 12000000)) ] || fail "a reset gives no space back: $used, then $(allocated /tank/z)"
targets_ok <<<'clearconfig confirm=True'
stop_lunkitd
