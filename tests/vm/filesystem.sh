# shellcheck shell=bash
# filesystem_round MKFS-COMMAND...: a file system on a user:file LUN: written, verified after a remount, checked; what is
# deleted in it and trimmed is no longer allocated in the image. Sourced after lib.sh by the cases filesystem_*.
filesystem_round() {
    local sum before after
    tank ext4
    start_lunkitd
    user_lun file d 512M /tank/d
    "$@" "$DISK"
    mkdir -p /mnt/d
    mount "$DISK" /mnt/d
    step "write and verify"
    random_file /mnt/d/small 4
    random_file /mnt/d/big 64
    sum=$(cat /mnt/d/small /mnt/d/big | sha256sum)
    umount /mnt/d
    mount "$DISK" /mnt/d
    assert_eq "$(cat /mnt/d/small /mnt/d/big | sha256sum)" "$sum" "data after mounting again"

    step "trim"
    sync /tank/d
    before=$(allocated /tank/d)
    rm /mnt/d/big
    sync -f /mnt/d
    fstrim -v /mnt/d
    sync /tank/d
    after=$(allocated /tank/d)
    echo "allocated in the image: $before before, $after after the trim"
    [ $((before - after)) -gt $((56 << 20)) ] || fail "the trim did not reach the image"
    assert_no_errors
    umount /mnt/d
}
