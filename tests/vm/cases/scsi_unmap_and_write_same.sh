# UNMAP, WRITE SAME 10 and 16 with UNMAP and NDOB, GET LBA STATUS; what is unmapped reads as zeros and is freed in the image.
# kernels: 6.1
. "$LUNKIT_VM/lib.sh"
scsi_lun
random_file /tank/data 8
zeros() { [ "$(image_blocks "$1" "$2" | tr -d '\0' | wc -c)" = 0 ] || fail "blocks $1+$2 are not zero"; }
same() { # same LBA COUNT FILE: every block of the range is that file
    image_blocks "$1" "$2" | cmp - <(for ((i = 0; i < $2; i++)); do cat "$3"; done)
}
sg_dd if=/tank/data of="$SG" bs=512

step "UNMAP"
before=$(allocated $IMAGE)
sg_unmap --force --lba=2048 --num=2048 "$SG"
zeros 2048 2048
assert_eq "$((before - $(allocated $IMAGE)))" $((1 << 20)) "bytes freed by UNMAP"
assert_eq "$(cdb_in 512 28 00 00 00 08 00 00 00 01 00 | tr -d '\0' | wc -c)" 0 "an unmapped block, read"
sg_unmap --force --lba=4096,6144 --num=8,16 "$SG"
zeros 4096 8
zeros 6144 16
image_blocks 4104 1 | cmp - <(dd if=/tank/data bs=512 skip=4104 count=1 status=none)
sense 'Illegal Request' 'Logical block address out of range' sg_unmap --force --lba=$((BLOCKS - 8)) --num=16 --verbose "$SG"
# An empty parameter list is no error; one that ends inside its header is.
cdb 42 00 00 00 00 00 00 00 00 00
head -c 4 /dev/zero >/tank/short
sense 'Illegal Request' 'Parameter list length error|Invalid field in cdb' sg_raw -s 4 -i /tank/short "$SG" 42 00 00 00 00 00 00 00 04 00

step "GET LBA STATUS"
said=$(sg_get_lba_status --lba=0 --maxlen=64 "$SG")
echo "$said"
assert_match "$said" 'mapped' "GET LBA STATUS of data"
said=$(sg_get_lba_status --lba=2048 --maxlen=24 "$SG")
echo "$said"
assert_match "$said" 'deallocated' "GET LBA STATUS of a hole"
sense 'Illegal Request' 'Logical block address out of range' sg_get_lba_status --lba=$BLOCKS --verbose "$SG"

step "WRITE SAME"
dd if=/tank/data of=/tank/one bs=512 count=1 status=none
sg_write_same --10 --lba=100 --num=64 --in=/tank/one "$SG"
same 100 64 /tank/one
sg_write_same --16 --lba=200 --num=33 --in=/tank/one "$SG"
same 200 33 /tank/one
image_blocks 233 1 | cmp - <(dd if=/tank/data bs=512 skip=233 count=1 status=none)
sg_write_same --16 --ndob --lba=200 --num=8 "$SG"
zeros 200 8

step "WRITE SAME with UNMAP"
sg_write_same --10 --unmap --lba=8192 --num=2048 "$SG"
zeros 8192 2048
sg_write_same --16 --unmap --lba=10240 --num=2048 "$SG"
zeros 10240 2048
sg_write_same --16 --unmap --ndob --lba=12288 --num=2048 "$SG"
zeros 12288 2048
# Not zeros: the data counts, UNMAP or not.
sg_write_same --16 --unmap --lba=14336 --num=8 --in=/tank/one "$SG"
same 14336 8 /tank/one
sense 'Illegal Request' 'Logical block address out of range' \
    sg_write_same --16 --verbose --lba=$((BLOCKS - 1)) --num=2 --in=/tank/one "$SG"
