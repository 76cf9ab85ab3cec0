# user:qcow on images of qemu-img: a file system, a trim that shrinks the image, growth while in use, a backing file, and
# what is refused; then the daemon dies three times under verified load. qemu-img finds each image sound and reads from it
# what the disk held.
# kernels: 6.1
# timeout: 480
. "$LUNKIT_VM/lib.sh"

# sound IMAGE: no corruption and no leak. not_corrupt IMAGE: leaks are allowed.
sound() { qemu-img check -q "$1" || fail "qemu-img check $1: $(qemu-img check "$1" 2>&1)"; }
not_corrupt() {
    local status=0
    qemu-img check "$1" || status=$?
    [ $status = 0 ] || [ $status = 3 ] || fail "qemu-img check $1 ends with $status"
}

tank ext4
start_lunkitd
qemu-img create -q -f qcow2 /tank/d 256M
user_lun qcow d 256M /tank/d

step "a file system, trimmed"
mkfs.ext4 -q "$DISK"
mkdir -p /mnt/d
mount "$DISK" /mnt/d
random_file /mnt/d/small 4
random_file /mnt/d/big 48
sum=$(sha256sum </mnt/d/small)
sync -f /mnt/d
sync /tank/d
before=$(allocated /tank/d)
rm /mnt/d/big
sync -f /mnt/d
fstrim -v /mnt/d
umount /mnt/d
sync /tank/d
after=$(allocated /tank/d)
echo "allocated by the image: $before before, $after after the trim"
[ $((before - after)) -gt $((40 << 20)) ] || fail "the trim did not reach the image"
e2fsck -fn "$DISK"

step "growth while in use"
targets_ok <<<"/backstores/user:qcow/d set attribute dev_size=$((384 << 20))"
echo 1 >"/sys/block/${DISK##*/}/device/rescan"
assert_eq "$(blockdev --getsize64 "$DISK")" $((384 << 20)) "size of the disk after growing"
watch_errors "$DISK"     # the resize is told by a unit attention
mount "$DISK" /mnt/d
resize2fs "$DISK"
assert_eq "$(sha256sum </mnt/d/small)" "$sum" "data after growing"
random_file /mnt/d/more 8
umount /mnt/d
e2fsck -fn "$DISK"
assert_no_errors

step "locks: qemu leaves the image alone"
assert_fails "qemu-img snapshot of a served image" qemu-img snapshot -c s /tank/d
assert_match "$output" lock "why qemu-img refuses"

step "delete; qemu reads what the disk held"
dd if="$DISK" of=/tank/held bs=1M iflag=direct status=none
targets_ok <<EOT
/loopback delete $(loopback_wwn /backstores/user:qcow/d)
/backstores/user:qcow delete d
EOT
if fuser /tank/d; then fail "somebody still has the image open"; fi
sound /tank/d
qemu-img compare -f raw -F qcow2 /tank/held /tank/d
rm /tank/held

step "what is refused says why"
qemu-img create -q -f qcow2 -o encrypt.format=luks,encrypt.key-secret=k --object secret,id=k,data=x /tank/luks 16M
truncate -s 16M /tank/raw
said=$(targets <<'EOT'
/backstores/user:qcow create name=luks size=16M cfgstring=/tank/luks
/backstores/user:qcow create name=raw size=16M cfgstring=/tank/raw
/backstores/user:qcow create name=size size=16M cfgstring=/tank/d
EOT
)
echo "$said"
assert_match "$said" 'LUKS' "an encrypted image"
assert_match "$said" 'not a qcow2 image' "a raw file"
log_says 'is a disk of 402653184 bytes; the LUN has 16777216' || fail "the log does not tell why a wrong size is refused"

step "the daemon dies under load, above a backing file"
qemu-img create -q -f qcow2 -b d -F qcow2 /tank/e 256M
user_lun qcow e 256M /tank/e
echo >"$FAILED_COMMANDS/trace"     # the disk before, which may have had this one's address, was told of its growth
random_file /tank/data 4
dd if=/tank/data of="$DISK" bs=1M seek=200 oflag=direct status=none
begin_loads "$DISK"
for _ in 1 2 3; do
    sleep 3
    kill_lunkitd
    loads_go_on "while the daemon was away"
    not_corrupt /tank/e
    start_lunkitd
    dd if="$DISK" bs=1M skip=200 count=4 iflag=direct status=none | cmp - /tank/data
done
end_loads
assert_eq "$(failed_commands "$DISK" | grep -v -c 'status=SAM_STAT_BUSY' || :)" 0 "commands that ended other than GOOD or BUSY"
verify_load "$DISK"
dd if="$DISK" of=/tank/held bs=1M iflag=direct status=none
targets_ok <<EOT
/loopback delete $(loopback_wwn /backstores/user:qcow/e)
/backstores/user:qcow delete e
EOT
not_corrupt /tank/e
qemu-img compare -f raw -F qcow2 /tank/held /tank/e
qemu-img check -q -r leaks /tank/e
sound /tank/d
stop_lunkitd
