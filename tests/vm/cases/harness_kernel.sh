# The guest's kernel is the one asked for, and has what the other cases build on.
. "$LUNKIT_VM/lib.sh"

assert_match "$(uname -r)" "^${LUNKIT_KERNEL}[.-]" "running kernel"
for module in target_core_user tcm_loop iscsi_target_mod iscsi_tcp uio sd_mod sg scsi_debug dm_flakey dm_delay dm_log_writes \
    dm_log_userspace dm_mirror dm_snapshot loop brd null_blk zram nbd xfs btrfs cuse vhost_scsi raid1; do
    modprobe -n "$module" || fail "no module $module"
done
if [ "$LUNKIT_KERNEL" != 6.1 ]; then modprobe -n ublk_drv || fail "no module ublk_drv"; fi
modprobe target_core_user
[ -d $CONFIGFS/core ] || fail "no target in configfs"
[ -e /dev/scratch-disk ] || fail "no scratch disk"
dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.ListNames >/dev/null
