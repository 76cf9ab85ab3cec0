# A case that passes and leaves a target, mounts and a process behind.
. "$LUNKIT_VM/lib.sh"
tank
targets_ok < <(echo '/backstores/fileio create name=left file_or_dev=/tank/left size=16M'; loopback_lines /backstores/fileio/left)
sleep 1000 &
mount -t tmpfs -o size=1M small /dev/shm
: >/dev/shm/left
