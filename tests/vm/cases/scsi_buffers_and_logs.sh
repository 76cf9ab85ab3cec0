# READ and WRITE BUFFER (echo), SEND and RECEIVE DIAGNOSTIC, LOG SENSE and LOG SELECT.
# kernels: 6.1
. "$LUNKIT_VM/lib.sh"
scsi_lun

step "echo buffer"
random_file /tank/any 1
head -c 512 /tank/any >/tank/echo
assert_eq "$(cdb_in 4 3c 0b 00 00 00 00 00 00 04 00 | od -An -tx1 | xargs)" "00 00 10 00" "echo buffer descriptor: 4096 bytes"
cdb_out /tank/echo 3b 0a 00 00 00 00 00 02 00 00
cdb_in 512 3c 0a 00 00 00 00 00 02 00 00 | cmp - /tank/echo

step "diagnostics"
sg_senddiag --test "$SG"
assert_match "$(sg_senddiag --list "$SG" 2>&1)" 'supported' "supported diagnostic pages"

step "log pages"
said=$(sg_logs --all "$SG")
echo "$said"
for page in 'Supported log pages' 'Write error counter' 'Read error counter' 'Verify error counter' 'Informational Exceptions'; do
    assert_match "$said" "$page" "log pages"
done
dd if=/tank/any of="$DISK" bs=64k count=16 oflag=direct status=none
written=$(sg_logs --page=0x02 "$SG")
echo "$written"
assert_match "$written" 'Total bytes processed = (1048576|[1-9][0-9]{6,})' "bytes written"
sg_logs --reset "$SG"
assert_match "$(sg_logs --page=0x02 "$SG")" 'Total bytes processed = 0' "bytes written, after the reset"
stop_lunkitd
