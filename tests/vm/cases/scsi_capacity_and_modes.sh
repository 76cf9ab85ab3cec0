# READ CAPACITY 10 and 16, MODE SENSE and MODE SELECT 6 and 10, the write cache bit.
# kernels: 6.1
. "$LUNKIT_VM/lib.sh"
scsi_lun

step "READ CAPACITY"
assert_match "$(sg_readcap "$SG")" "Last LBA=$((BLOCKS - 1))\b" "READ CAPACITY(10)"
said=$(sg_readcap --long "$SG")
echo "$said"
assert_match "$said" "Last LBA=$((BLOCKS - 1))\b" "READ CAPACITY(16)"
assert_match "$said" 'Logical block length=512 bytes' "READ CAPACITY(16)"
assert_match "$said" 'lbpme=1' "READ CAPACITY(16)"

step "MODE SENSE"
for six in '' --six; do
    # shellcheck disable=SC2086
    said=$(sg_modes $six --all "$SG")
    echo "$said"
    assert_match "$said" 'Caching' "mode pages $six"
    assert_match "$said" 'Control' "mode pages $six"
    assert_match "$said" 'DpoFua=1' "device-specific parameter $six"
done
sense 'Illegal Request' 'Invalid field in cdb' sg_raw -r 255 "$SG" 1a 00 15 00 ff 00
assert_eq "$(cdb_in 4 1a 00 3f 00 04 00 | wc -c)" 4 "bytes of MODE SENSE(6) with allocation length 4"

step "MODE SELECT"
# The changeable mask says whether the write cache bit may be set; the answer to setting it must agree.
changeable=$(($(sg_modes --page=8 --control=1 --dbd --raw "$SG" | od -An -tu1 -j 10 -N 1) >> 2 & 1))
was=$(sdparm --get=WCE=1 --quiet "$SG" | awk '{ print $2 }')
echo "write cache is $was, changeable: $changeable"
for six in '' --six; do
    for wce in $((1 - was)) "$was"; do
        # shellcheck disable=SC2086
        if sdparm $six --set=WCE="$wce" "$SG"; then answer=1; else answer=0; fi
        sg_turs "$SG" || : # takes a unit attention away, if there is one
        now=$(sdparm --get=WCE=1 --quiet "$SG" | awk '{ print $2 }')
        if [ $changeable = 1 ]; then
            assert_eq "$answer $now" "1 $wce" "setting WCE=$wce $six"
        else
            assert_eq "$now" "$was" "write cache that is not changeable"
            [ "$wce" = "$was" ] || assert_eq $answer 0 "setting WCE=$wce $six"
        fi
    done
done
# A parameter list that ends inside its page must change nothing.
printf '\0\0\0\0\x08\x12\x04' >/tank/short
sense 'Illegal Request' 'Parameter list length error|Invalid field in' sg_raw -s 7 -i /tank/short "$SG" 15 10 00 00 07 00
sg_turs "$SG"
