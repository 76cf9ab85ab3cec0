# VERIFY 10, 12, 16 with and without data, WRITE AND VERIFY 10, 12, 16, COMPARE AND WRITE.
# kernels: 6.1
. "$LUNKIT_VM/lib.sh"
scsi_lun
random_file /tank/data 1
dd if=/tank/data of=/tank/eight bs=512 count=8 status=none
dd if=/tank/data of=/tank/other bs=512 skip=100 count=8 status=none
sg_dd if=/tank/data of="$SG" bs=512 seek=0
last=$((BLOCKS - 1))

step "VERIFY"
sg_verify --lba=0 --count=2048 "$SG"
sg_verify --16 --lba=$((last - 7)) --count=8 "$SG"
cdb af 00 00 00 00 00 00 00 00 08 00 00
sg_verify --lba=0 --count=8 --ndo=4096 --in=/tank/eight "$SG"
sg_verify --16 --lba=0 --count=8 --ndo=4096 --in=/tank/eight "$SG"
cdb_out /tank/eight af 02 00 00 00 00 00 00 00 08 00 00
assert_fails "VERIFY(10) of other data" sg_verify --quiet --lba=1 --count=8 --ndo=4096 --in=/tank/eight "$SG"
sense 'Miscompare' 'Miscompare during verify' sg_raw -s 4096 -i /tank/other "$SG" 2f 02 00 00 00 00 00 00 08 00
sense 'Miscompare' 'Miscompare during verify' sg_raw -s 4096 -i /tank/other "$SG" 8f 02 00 00 00 00 00 00 00 00 00 00 00 08 00 00
# shellcheck disable=SC2046
sense 'Illegal Request' 'Logical block address out of range' sg_raw "$SG" 2f 00 $(be32 $last) 00 00 02 00

step "WRITE AND VERIFY"
cdb_out /tank/other 2e 00 00 00 10 00 00 00 08 00
cdb_out /tank/other ae 00 00 00 20 00 00 00 00 08 00 00
cdb_out /tank/other 8e 00 00 00 00 00 00 00 30 00 00 00 00 08 00 00
sg_write_verify --lba=16384 --num=8 --in=/tank/other "$SG"
sg_write_verify --16 --bytchk=1 --lba=20480 --num=8 --in=/tank/other "$SG"
for lba in 4096 8192 12288 16384 20480; do image_blocks $lba 8 | cmp - /tank/other; done

step "COMPARE AND WRITE"
image_blocks 4096 1 >/tank/old
image_blocks 0 1 >/tank/new
sg_compare_and_write --inc=/tank/old --inw=/tank/new --lba=4096 "$SG"
image_blocks 4096 1 | cmp - /tank/new
# The same again no longer finds the old block: nothing is written, and the sense data says where it differs.
cat /tank/old /tank/old >/tank/pair
sense 'Miscompare' 'Miscompare during verify' sg_raw -s 1024 -i /tank/pair "$SG" 89 00 00 00 00 00 00 00 10 00 00 00 00 01 00 00
image_blocks 4096 1 | cmp - /tank/new
image_blocks 4097 1 | cmp - <(dd if=/tank/other bs=512 skip=1 count=1 status=none)
sg_compare_and_write --fua --inc=/tank/new --inw=/tank/old --lba=4096 "$SG"
image_blocks 4096 1 | cmp - /tank/old
# shellcheck disable=SC2046
sense 'Illegal Request' 'Logical block address out of range' sg_raw -s 1024 -i /tank/pair "$SG" 89 00 $(be64 $BLOCKS) 00 00 00 01 00 00
