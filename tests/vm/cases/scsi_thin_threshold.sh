# A thin LUN of 64 MiB on a file system of 24: LOG SENSE tells how much is left, initiators hear once that a tenth of the capacity
# is left, and only then writes fail.
# kernels: 6.1
# timeout: 360
. "$LUNKIT_VM/lib.sh"
mount -t tmpfs -o size=24M tank /tank
start_lunkitd
user_lun file lun 64M /tank/lun
SG=$(sg_of "$DISK")
random_file /tmp/mebi 1
dd if=/tmp/mebi of=/tmp/piece bs=512K count=1 status=none
threshold='Thin provisioning soft threshold reached'

# room: the resource counts of the log page, available and used, MiB.
room() { cdb_in 28 4d 00 4c 00 00 00 00 00 1c 00 | od -An -t u1 -w28 | awk '{ print $11 * 256 + $12, $23 * 256 + $24 }'; }
# write_piece NUMBER: 512 KiB; prints sense data.
# shellcheck disable=SC2046
write_piece() { cdb_out /tmp/piece 2a 00 $(be32 $(($1 * 1024))) 00 04 00 00; }

step "what the pages say"
sg_logs --page=0xc "$SG"
assert_eq "$(room)" "24 0" "available and used"
assert_match "$(sg_vpd --page=lbpv "$SG")" 'Threshold exponent: 11' "VPD page B2h"
threshold_page=$(cdb_in 28 1a 08 1c 02 1c 00 | od -An -t u1 -w28 | awk '{ print $5, $6, $21, $28 }')
assert_eq "$threshold_page" "92 2 128 6" "mode page 1Ch/02h: enabled, at 6 MiB"
assert_eq "$(cdb_in 16 1a 08 01 00 10 00 | od -An -t u1 -w16 | awk '{ print $12 }')" 128 "mode page 01h: LBPERE"

step "room that is no news"
for ((i = 0; i < 12; i++)); do sg_dd if=/tmp/mebi of="$SG" bs=512 seek=$((i * 2048)) 2>/dev/null; done
assert_eq "$(room)" "12 12" "available and used"
sg_turs "$SG"

step "the soft threshold"
piece=$((12 * 2)) told=
while [ -z "$told" ]; do
    [ $piece -lt $((20 * 2)) ] || fail "nobody was told of $(room) MiB"
    if said=$(write_piece $piece); then
        piece=$((piece + 1))
    else
        assert_match "$said" 'Unit Attention' "sense key"
        assert_match "$said" "$threshold" "additional sense"
        told=yes
    fi
done
read -r available _ < <(room)
echo "told when $available MiB were left"
[ "$available" -le 6 ] || fail "too early: $available MiB"
[ "$available" -ge 4 ] || fail "too late: $available MiB"

step "then no room"
while said=$(write_piece $piece); do
    [ $piece -lt $((25 * 2)) ] || fail "there was room for $piece pieces"
    piece=$((piece + 1))
done
assert_match "$said" 'Data Protect' "sense key"
assert_match "$said" 'Space allocation failed write protect' "additional sense"
assert_eq "$(room | cut -d' ' -f1)" 0 "available"

step "room again, and gone again"
# A piece is written every second at least; the device is asked every five seconds.
sg_unmap --lba=0 --num=$((16 * 2048)) "$SG"
piece=$((20 * 2))
for ((i = 0; i < 8; i++)); do
    write_piece $((piece + i))
    sleep 1
done
told=
for ((i = 0; i < 16 * 2 && ${#told} == 0; i++)); do
    said=$(write_piece $i) || told=$said
done
assert_match "$told" "$threshold" "the second time"
stop_lunkitd
