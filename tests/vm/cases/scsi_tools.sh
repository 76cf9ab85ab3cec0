# What administrators type: sdparm, sg_opcodes, sg_logs, sg_vpd and sg_xcopy against user:file, and LIO's reservations through us.
# kernels: 6.1
# timeout: 300
. "$LUNKIT_VM/lib.sh"
scsi_lun

step "sdparm: the caching page, get and set; emulate_write_cache follows"
WCE_FILE=$(echo "$CONFIGFS"/core/user_*/lun/attrib/emulate_write_cache)
cache_is() { [ "$(sdparm --quiet --get=WCE "$DISK" | grep -o -E '[01]' | head -1)" = "$1" ] && [ "$(cat "$WCE_FILE")" = "$1" ]; }
assert_match "$(sdparm "$DISK")" 'WCE +1 ' "sdparm"
for ((i = 0; i < 10; i++)); do
    sdparm --quiet --clear=WCE "$DISK"
    sdparm --quiet --set=WCE "$DISK"
done
wait_for 10 "WCE 1 on both sides" cache_is 1
sdparm --quiet --clear=WCE "$DISK"
wait_for 10 "WCE 0 on both sides" cache_is 0
random_file /tank/data 1
sg_dd if=/tank/data of="$SG" bs=512 seek=100 2>/dev/null
image_blocks 100 2048 | cmp - /tank/data
sdparm --quiet --set=WCE "$DISK"
wait_for 10 "WCE 1 on both sides" cache_is 1
assert_match "$(sdparm --all --long "$DISK" 2>&1)" 'Caching.*|Control' "sdparm --all"
assert_match "$(sdparm --inquiry --all "$DISK")" 'Supported VPD pages' "sdparm --inquiry"

step "sg_vpd: every page that page 00h names, without complaint"
for page in $(sg_vpd --quiet --raw "$SG" | od -An -tx1 -v -j4 -w1); do
    said=$(sg_vpd --page="0x$page" "$SG" 2>&1) || fail "sg_vpd $page: $said"
    assert_no_match "$said" 'malformed|too short|unable|error' "sg_vpd $page"
done

step "sg_opcodes: the list with timeouts, and one command with its usage data"
list=$(sg_opcodes --rctd "$SG")
for name in 'Compare and write' 'Extended copy|Third party copy' 'Orwrite' 'Unmap' 'Write same\(16\)' 'Sanitize' 'Format unit' \
    'Get LBA status' 'Report target port groups' 'Persistent reserve in'; do
    assert_match "$list" "$name" "sg_opcodes"
done
assert_match "$(sg_opcodes --opcode=0x89 --rctd "$SG")" 'Usage data: 89 ' "sg_opcodes of COMPARE AND WRITE"

step "sg_logs: every page that page 00h names"
for page in $(sg_logs --page=0 --raw "$SG" | od -An -tx1 -v -j4 -w1); do
    said=$(sg_logs --page="0x$page" "$SG" 2>&1) || fail "sg_logs $page: $said"
done

step "sg_xcopy: a copy within the LUN"
sg_dd if=/tank/data of="$SG" bs=512 seek=0 2>/dev/null
sg_xcopy if="$SG" of="$SG" bs=512 count=2048 skip=0 seek=60000 bpt=512
image_blocks 60000 2048 | cmp - /tank/data

step "sg_persist: LIO's reservations, through us"
sg_persist --out --register --param-sark=0xabc "$SG"
sg_persist --out --reserve --param-rk=0xabc --prout-type=1 "$SG"
assert_match "$(sg_persist --in --read-reservation "$SG")" 'Key ?= ?0xabc' "the reservation"
sg_dd if=/tank/data of="$SG" bs=512 count=8 2>/dev/null
sg_persist --out --release --param-rk=0xabc --prout-type=1 "$SG"
sg_persist --out --register --param-rk=0xabc --param-sark=0 "$SG"
stop_lunkitd
