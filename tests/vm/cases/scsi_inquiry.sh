# TEST UNIT READY, INQUIRY and its VPD pages, REPORT LUNS, REQUEST SENSE.
# usually: 6.1
. "$LUNKIT_VM/lib.sh"
scsi_lun

step "TEST UNIT READY"
sg_turs "$SG"

step "INQUIRY"
said=$(sg_inq "$SG")
echo "$said"
assert_match "$said" 'Peripheral device type: disk' "INQUIRY"
assert_match "$said" 'CmdQue=1' "INQUIRY"
assert_match "$said" 'Vendor identification: LIO-ORG' "INQUIRY"
# Allocation lengths: what is asked for, never more, and none is good too.
assert_eq "$(cdb_in 5 12 00 00 00 05 00 | wc -c)" 5 "bytes of INQUIRY with allocation length 5"
cdb 12 00 00 00 00 00
sense 'Illegal Request' 'Invalid field in cdb' sg_raw -r 96 "$SG" 12 00 80 00 60 00
sense 'Illegal Request' 'Invalid field in cdb' sg_raw -r 96 "$SG" 12 01 7f 00 60 00

step "VPD pages"
pages=$(cdb_in 255 12 01 00 00 ff 00 | od -An -v -tx1 -j 4 | xargs)
for page in 00 80 83 86 b0 b1 b2; do assert_match "$pages" "\b$page\b" "supported VPD pages"; done
assert_eq "$pages" "$(tr ' ' '\n' <<<"$pages" | sort | xargs)" "supported VPD pages in ascending order"
serial=$(sed -n 's/^T10 VPD Unit Serial Number: //p' $CONFIGFS/core/user_*/lun/wwn/vpd_unit_serial)
assert_match "$(sg_vpd -p sn "$SG")" "$serial" "unit serial number (80h)"
said=$(sg_vpd -p di "$SG")
echo "$said"
assert_match "$said" '0x6001405[0-9a-f]{25}' "device identification (83h)"
assert_match "$said" 'T10 vendor identification' "device identification (83h)"
assert_match "$(sg_vpd -p ei "$SG")" 'SIMPSUP=1' "extended INQUIRY data (86h)"
said=$(sg_vpd -p bl "$SG")
echo "$said"
for limit in 'Maximum compare and write length' 'Maximum transfer length' 'Maximum unmap LBA count' \
    'Maximum unmap block descriptor count' 'Maximum write same length'; do
    assert_match "$said" "$limit: (-1|(0x)?[1-9a-f])" "block limits (b0h)"
done
sg_vpd -p bdc "$SG"
said=$(sg_vpd -p lbpv "$SG")
echo "$said"
for bit in 'Unmap command supported \(LBPU\): 1' '\(LBPWS\): 1' '\(LBPWS10\): 1'; do
    assert_match "$said" "$bit" "logical block provisioning (b2h)"
done

step "REPORT LUNS, REQUEST SENSE"
sg_luns "$SG"
sg_requests "$SG"
