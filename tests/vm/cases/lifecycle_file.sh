# user:file from create to delete: size, resize while in use, saveconfig, clearconfig, restoreconfig; the data stays.
# usually: 6.1
# timeout: 240
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
user_lun file d 64M /tank/d
assert_eq "$(stat -c %s /tank/d)" $((64 << 20)) "size of the new image"
assert_eq "$(allocated /tank/d)" 0 "bytes that the new image takes"
random_file /tank/data 4
dd if=/tank/data of="$DISK" bs=1M oflag=direct status=none
serial=$(cat $CONFIGFS/core/user_*/d/wwn/vpd_unit_serial)

step "resize"
targets_ok <<<"/backstores/user:file/d set attribute dev_size=$((96 << 20))"
echo 1 >"/sys/block/${DISK##*/}/device/rescan"
assert_eq "$(blockdev --getsize64 "$DISK")" $((96 << 20)) "size of the disk after growing"
assert_eq "$(stat -c %s /tank/d)" $((96 << 20)) "size of the image after growing"
watch_errors "$DISK"     # the resize is told by a unit attention
dd if=/tank/data of="$DISK" bs=1M seek=90 oflag=direct status=none
dd if="$DISK" bs=1M skip=90 count=4 iflag=direct status=none | cmp - /tank/data
assert_no_errors

step "save, clear, restore"
targets_ok <<<'saveconfig /tank/saved.json'
assert_eq "$(jq -r '.storage_objects[] | [.name, .plugin, .config, .size] | @csv' /tank/saved.json)" \
    "\"d\",\"user\",\"file//tank/d\",$((96 << 20))" "saved storage object"
assert_match "$(lunkit migrate --saveconfig /tank/saved.json)" '^ok +user:d \(file//tank/d\) is (in use, and )?restored unchanged' "lunkit migrate"
targets_ok <<<'clearconfig confirm=True'
assert_eq "$(ls -d $CONFIGFS/core/user_*/d 2>/dev/null || :)" '' "backstore after clearconfig"
said=$(targets <<<'restoreconfig /tank/saved.json')
echo "$said"
assert_no_match "$said" 'could not|cannot|errno|traceback' "restoreconfig"
DISK=$(loop_disk_of d)
assert_eq "$(cat $CONFIGFS/core/user_*/d/wwn/vpd_unit_serial)" "$serial" "unit serial number after the restore"
assert_eq "$(blockdev --getsize64 "$DISK")" $((96 << 20)) "size after the restore"
dd if="$DISK" bs=1M count=4 iflag=direct status=none | cmp - /tank/data

step "delete"
targets_ok <<EOT
/loopback delete $(loopback_wwn /backstores/user:file/d)
/backstores/user:file delete d
EOT
[ -e /tank/d ] || fail "the image is gone"
assert_no_match "$(lunkit list)" '\bd\b' "lunkit list"
if fuser /tank/d; then fail "somebody still has the image open"; fi

step "an existing image, create=off"
targets_ok <<<"/backstores/user:file create name=d size=96M cfgstring=/tank/d;create=off"
stop_lunkitd
