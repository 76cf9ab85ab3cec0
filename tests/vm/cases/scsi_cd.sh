# The image of a CD as a CD: what sr and the tools see of it, mounted and read, never written.
# usually: 6.1
# timeout: 240
. "$LUNKIT_VM/lib.sh"

tank
mkdir /tank/tree
random_file /tank/tree/data 3
genisoimage -quiet -R -V LUNKIT -o /tank/cd.iso /tank/tree
size=$(stat -c %s /tank/cd.iso)
before=$(sha256sum </tank/cd.iso)
modprobe sr_mod
start_lunkitd
said=$(targets <<<"/backstores/user:file create name=wrong size=$size cfgstring=/tank/cd.iso;type=cd" || :)
log_says 'blocks of 2048 bytes; 512 are asked for' || fail "the log does not tell of the block size; targetcli: $said"
targets_ok < <(
    echo "/backstores/user:file create name=cd size=$size cfgstring=/tank/cd.iso;type=cd control=hw_block_size=2048"
    loopback_lines /backstores/user:file/cd
)
CD=$(disk_at 20 "$(loop_address_of cd)")
[[ $CD = /dev/sr* ]] || fail "the CD is $CD"
SG=$(sg_of "$CD")

step "what the tools see"
assert_match "$(sg_inq "$SG")" 'PDT=5' "sg_inq"
assert_match "$(sg_readcap "$SG")" 'Logical block length=2048' "sg_readcap"
config=$(sg_get_config "$SG")
assert_match "$config" 'CD-ROM.*currentP=1' "sg_get_config"
assert_match "$(sg_opcodes "$SG")" 'Read TOC/PMA/ATIP' "sg_opcodes"
cdb_in 20 43 00 00 00 00 00 00 00 14 00 | od -An -tx1
cmp <(cdb_in 2048 be 00 00 00 00 10 00 00 01 10 00 00) <(dd if=/tank/cd.iso bs=2048 skip=16 count=1 status=none)
sense 'Illegal Request' 'incompatible format' sg_raw -r 2052 "$SG" ad 00 00 00 00 00 00 00 08 04 00 00  # of a DVD

step "mounted"
mkdir -p /mnt/cd
mount -t iso9660 -o ro "$CD" /mnt/cd
cmp /mnt/cd/data /tank/tree/data
umount /mnt/cd
assert_eq "$(blkid -o value -s LABEL "$CD")" LUNKIT "label"

step "never written"
sense 'Illegal Request' 'Invalid command operation code' sg_raw -s 2048 -i /tank/tree/data "$SG" 2a 00 $(be32 16) 00 00 01 00
assert_fails "a write" dd if=/tank/tree/data of="$CD" bs=2048 count=1 conv=notrunc
assert_eq "$(sha256sum </tank/cd.iso)" "$before" "the image"
targets_ok <<<'clearconfig confirm=True'
stop_lunkitd
