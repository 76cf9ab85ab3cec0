# READ and WRITE with 6, 10, 12 and 16 byte CDBs, FUA and DPO, odd lengths, the end of the medium; SYNCHRONIZE CACHE.
# usually: 6.1
# timeout: 180
. "$LUNKIT_VM/lib.sh"
scsi_lun
last=$((BLOCKS - 1))

step "WRITE and READ of every size"
random_file /tank/data 1
lba=1000
for size in 6 10 12 16; do
    sg_dd if=/tank/data of="$SG" bs=512 seek=$lba cdbsz=$size bpt=100
    image_blocks $lba 2048 | cmp - /tank/data
    sg_dd if="$SG" of=/tank/back bs=512 skip=$lba count=2048 cdbsz=$size bpt=77
    cmp /tank/back /tank/data
    lba=$((lba + 5000))
done

step "FUA and DPO"
for size in 10 12 16; do
    sg_dd if=/tank/data of="$SG" bs=512 seek=$lba cdbsz=$size oflag=fua,dpo
    image_blocks $lba 2048 | cmp - /tank/data
    sg_dd if="$SG" of=/tank/back bs=512 skip=$lba count=2048 cdbsz=$size iflag=fua,dpo
    cmp /tank/back /tank/data
    lba=$((lba + 5000))
done

step "lengths"
# READ(6): transfer length 0 means 256 blocks; READ(10) and (16): none, and that is good.
sg_dd if=/tank/data of="$SG" bs=512 count=256 seek=0
cdb_in 131072 08 00 00 00 00 00 | cmp -n 131072 - /tank/data
cdb 28 00 00 00 00 00 00 00 00 00
cdb 88 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
# One block asked for where the initiator has room for four: one block comes.
assert_eq "$(cdb_in 2048 28 00 00 00 00 00 00 00 01 00 | wc -c)" 512 "bytes of a READ with residual"

step "the end of the medium"
# shellcheck disable=SC2046
{
    cdb_in 512 28 00 $(be32 $last) 00 00 01 00 | cmp - <(image_blocks $last 1)
    out_of_range=('Illegal Request' 'Logical block address out of range')
    sense "${out_of_range[@]}" sg_raw -r 1024 "$SG" 28 00 $(be32 $last) 00 00 02 00
    sense "${out_of_range[@]}" sg_raw -r 512 "$SG" 28 00 $(be32 $BLOCKS) 00 00 01 00
    sense "${out_of_range[@]}" sg_raw -r 512 "$SG" a8 00 $(be32 $BLOCKS) 00 00 00 01 00 00
    sense "${out_of_range[@]}" sg_raw -r 512 "$SG" 88 00 ff ff ff ff ff ff ff ff 00 00 00 01 00 00
    dd if=/tank/data of=/tank/one bs=512 count=1 status=none
    sense "${out_of_range[@]}" sg_raw -s 512 -i /tank/one "$SG" 2a 00 $(be32 $BLOCKS) 00 00 01 00
    sense "${out_of_range[@]}" sg_raw -s 512 -i /tank/one "$SG" 8a 00 ff ff ff ff ff ff ff ff 00 00 00 01 00 00
}
assert_eq "$(stat -c %s $IMAGE)" $((BLOCKS * 512)) "size of the image"

step "SYNCHRONIZE CACHE"
sg_sync "$SG"
sg_sync --lba=64 --count=64 "$SG"
sg_sync --16 "$SG"
sg_sync --16 --lba=64 --count=64 "$SG"
# shellcheck disable=SC2046
sense 'Illegal Request' 'Logical block address out of range' sg_raw "$SG" 35 00 $(be32 $BLOCKS) 00 00 01 00
