# user:ram from create to delete, with saveconfig and restoreconfig.
# usually: 6.1
# timeout: 240
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
user_lun ram r 64M r
assert_eq "$(blockdev --getsize64 "$DISK")" $((64 << 20)) "size of the disk"
assert_eq "$(dd if="$DISK" bs=1M iflag=direct status=none | tr -d '\0' | wc -c)" 0 "bytes that are not zero in the new disk"
random_file /tank/data 4
dd if=/tank/data of="$DISK" bs=1M seek=60 oflag=direct status=none
dd if="$DISK" bs=1M skip=60 iflag=direct status=none | cmp - /tank/data

step "memory comes back with discard"
memory() { allocated /dev/shm/lunkit-ram-r; }
dd if=/dev/urandom of="$DISK" bs=1M count=48 oflag=direct status=none
full=$(memory)
[ "$full" -ge $((48 << 20)) ] || fail "written 48 MiB, and it takes only $full bytes"
blkdiscard "$DISK"
assert_eq "$(memory)" 0 "bytes it takes after the discard"

step "save, clear, restore"
targets_ok <<<'saveconfig /tank/saved.json'
targets_ok <<<'clearconfig confirm=True'
said=$(targets <<<'restoreconfig /tank/saved.json')
echo "$said"
assert_no_match "$said" 'could not|cannot|errno|traceback' "restoreconfig"
DISK=$(loop_disk_of r)
verify_load "$DISK" --size=8M
targets_ok <<EOT
/loopback delete $(loopback_wwn /backstores/user:ram/r)
/backstores/user:ram delete r
EOT
stop_lunkitd
