# WRITE ATOMIC(16) on a RAM disk: what the Block Limits page promises, the write itself, and that one for which memory does not
# suffice leaves everything as it was. A file handler promises nothing, and the command is not there.
# kernels: 6.1
# timeout: 180
. "$LUNKIT_VM/lib.sh"
tank
mkdir -p /dev/shm
mount -t tmpfs -o size=3M shm /dev/shm
start_lunkitd
user_lun ram memory 16M memory
SG=$(sg_of "$DISK")

step "the limits"
limits=$(sg_vpd --page=bl "$SG")
echo "$limits"
assert_match "$limits" 'Maximum atomic transfer length: [1-9]' "Block Limits"
assert_match "$limits" 'Atomic alignment: 0' "Block Limits"
assert_match "$(sg_opcodes --opcode=0x9c "$SG")" 'Write atomic' "the opcode's report"

step "a write"
random_file /tank/data 1
dd if=/tank/data of=/tank/some bs=512 count=64 status=none
sg_write_x --16 --atomic=0 --lba=1000 --num=64 --in=/tank/some "$SG"
sg_dd if="$SG" of=/tank/back bs=512 skip=1000 count=64
cmp /tank/back /tank/some

step "one block more than is promised"
most=$(sed -n 's/.*Maximum atomic transfer length: \([0-9]*\).*/\1/p' <<<"$limits")
# sg_raw sends no more than 1 MiB; it is the CDB that is wrong.
# shellcheck disable=SC2046
sense 'Illegal Request' 'Invalid field in cdb' sg_raw -s 512 -i /tank/some "$SG" \
    9c 00 $(be64 0) 00 00 $(printf '%02x %02x' $(((most + 1) >> 8)) $(((most + 1) & 255))) 00 00

step "no memory for all of it"
# Memory is taken in chunks of 64 KiB. One is left, and the write needs two: its first half would fit.
chunks_left() { echo $(($(stat -f -c '%a * %S' /dev/shm) / 65536)); }
for ((chunk = 16; $(chunks_left) > 1; chunk++)); do
    sg_dd if=/tank/data of="$SG" bs=512 seek=$((chunk * 128)) count=1 2>/dev/null
done
assert_eq "$(chunks_left)" 1 "chunks left"
dd if=/tank/data of=/tank/some bs=512 count=128 status=none
before=$(sg_dd if="$SG" of=- bs=512 skip=16384 count=256 2>/dev/null | sha256sum)
# shellcheck disable=SC2046
sense 'Data Protect' 'Space allocation failed write protect' sg_raw -s 65536 -i /tank/some "$SG" 9c 00 $(be64 16448) 00 00 00 80 00 00
assert_eq "$(sg_dd if="$SG" of=- bs=512 skip=16384 count=256 2>/dev/null | sha256sum)" "$before" "the blocks after it"

step "a file handler does not promise it"
user_lun file plain 16M /tank/plain
SG=$(sg_of "$DISK")
assert_match "$(sg_vpd --page=bl "$SG")" 'Maximum atomic transfer length: 0' "Block Limits of a file"
# shellcheck disable=SC2046
sense 'Illegal Request' 'Invalid command operation code' sg_raw -s 65536 -i /tank/some "$SG" 9c 00 $(be64 0) 00 00 00 80 00 00
stop_lunkitd
