# START STOP UNIT, PREVENT ALLOW, REPORT SUPPORTED OPERATION CODES and TMFs, LOG SENSE, REPORT TARGET PORT GROUPS, and opcodes
# that do not exist: every one is answered, at once.
# kernels: 6.1
. "$LUNKIT_VM/lib.sh"
scsi_lun

step "START STOP UNIT"
sg_start --stop "$SG"
sg_start --start "$SG"
sg_turs "$SG"

step "PREVENT ALLOW MEDIUM REMOVAL"
sg_prevent "$SG"
sg_prevent --allow "$SG"

step "REPORT SUPPORTED OPERATION CODES"
said=$(sg_opcodes --no-inquiry "$SG")
echo "$said"
for name in 'Test Unit Ready' 'Inquiry' 'Read\(6\)' 'Write\(16\)' 'Unmap' 'Write same\(16\)' 'Compare and write' \
    'Synchronize cache\(10\)' 'Report target port groups' 'Read capacity\(16\)' 'Get LBA status'; do
    assert_match "$said" "$name" "supported operation codes"
done
sg_opcodes --no-inquiry --opcode=0x28 "$SG"
sg_opcodes --no-inquiry --opcode=0x9e,0x10 "$SG"
said=$(sg_opcodes --no-inquiry --tmf "$SG")
echo "$said"
assert_match "$said" 'Abort task' "supported task management functions"
assert_match "$said" 'Logical unit reset' "supported task management functions"

step "LOG SENSE"
pages=$(cdb_in 255 4d 00 40 00 00 00 00 00 ff 00 | od -An -v -tx1 -j 4 | xargs)
echo "pages: $pages"
for page in $pages; do cdb_in 255 4d 00 "$(printf '%02x' $((0x40 | 0x$page)))" 00 00 00 00 00 ff 00 | wc -c; done
sense 'Illegal Request' 'Invalid field in cdb' sg_raw -r 255 "$SG" 4d 00 77 00 00 00 00 00 ff 00

step "REPORT TARGET PORT GROUPS"
sg_rtpg --decode "$SG"

step "opcodes that do not exist"
start=$SECONDS
for opcode in 2d 7e c5 d5 f5; do
    sense 'Illegal Request' 'Invalid command operation code' sg_raw "$SG" $opcode 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
done
sense 'Illegal Request' 'Invalid (field in cdb|command operation code)' sg_raw "$SG" 9e 1f 00 00 00 00 00 00 00 00 00 00 00 00 00 00
[ $((SECONDS - start)) -lt 15 ] || fail "opcodes that do not exist took $((SECONDS - start)) s"
sg_turs "$SG"
