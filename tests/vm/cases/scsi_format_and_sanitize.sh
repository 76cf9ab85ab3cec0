# FORMAT UNIT and SANITIZE: the medium is clean afterwards, behind the daemon's back as well; progress is told meanwhile.
# kernels: 6.1
# timeout: 240
. "$LUNKIT_VM/lib.sh"
scsi_lun
random_file /tank/data 64
fill() { dd if=/tank/data of="$DISK" bs=1M oflag=direct status=none; }
zeros() { assert_eq "$(tr -d '\0' <$IMAGE | wc -c)" 0 "bytes that are not zero after $1"; }
ready() { wait_for 60 "the unit to be ready" sg_turs "$SG"; }

step "FORMAT UNIT"
fill
sg_format --format --quick --early "$SG"
ready
zeros "FORMAT UNIT"
assert_eq "$(sg_readcap "$SG" | sed -n 's/.*Number of logical blocks=//p')" $BLOCKS "blocks after FORMAT UNIT"
assert_fails "FORMAT UNIT with protection information" sg_format --format --quick --early --fmtpinfo=2 "$SG"
assert_match "$output" 'Illegal request' "FORMAT UNIT with protection information"

step "SANITIZE, block erase"
fill
sg_sanitize --block --quick --early "$SG"
ready
zeros "block erase"

step "SANITIZE, overwrite"
fill
printf '\xa5' >/tank/pattern
sg_sanitize --overwrite --pattern=/tank/pattern --ipl=1 --count=1 --quick --early "$SG"
ready
assert_eq "$(tr -d '\245' <$IMAGE | wc -c)" 0 "bytes that are not the pattern after overwrite"

step "SANITIZE, cryptographic erase: nothing here is encrypted"
assert_fails "cryptographic erase" sg_sanitize --crypto --quick --early "$SG"
sg_turs "$SG"
verify_load "$DISK" --size=4M
stop_lunkitd
