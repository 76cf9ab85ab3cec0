# xfs on user:file; a trim reaches the image. mkfs.xfs sends WRITE SAME and discards of its own.
# usually: 6.1
# timeout: 240
. "$LUNKIT_VM/lib.sh"
. "$LUNKIT_VM/filesystem.sh"
filesystem_round mkfs.xfs -q
xfs_repair -n "$DISK"
stop_lunkitd
