# ext4 on user:file; a trim reaches the image.
# usually: 6.1
# timeout: 240
. "$LUNKIT_VM/lib.sh"
. "$LUNKIT_VM/filesystem.sh"
filesystem_round mkfs.ext4 -q
e2fsck -fn "$DISK"
stop_lunkitd
