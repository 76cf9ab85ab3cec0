# fio --verify=crc32c on user:file, buffered and direct=on, and on user:ram; many block sizes and depths.
# usually: none
# timeout: 360
. "$LUNKIT_VM/lib.sh"

tank ext4
start_lunkitd
targets_ok < <(
    echo '/backstores/user:file create name=buffered size=64M cfgstring=/tank/buffered'
    echo '/backstores/user:file create name=direct size=64M cfgstring=/tank/direct;direct=on'
    echo '/backstores/user:ram create name=r size=64M cfgstring=r'
    loopback_lines /backstores/user:file/buffered /backstores/user:file/direct /backstores/user:ram/r
)
for name in buffered direct r; do
    disk=$(loop_disk_of $name)
    watch_errors "$disk"
    step "$name: small blocks, deep"
    verify_load "$disk" --bsrange=4k-16k --iodepth=32
    step "$name: sectors, alone"
    verify_load "$disk" --bs=512 --bsrange=512-4k --iodepth=1 --size=1M
    step "$name: large blocks with flushes"
    verify_load "$disk" --bs=1M --bsrange=256k-1M --iodepth=8 --size=32M --fsync=8
    assert_no_errors
done
stop_lunkitd
