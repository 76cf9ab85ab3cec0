# EXTENDED COPY between two LUNs: refused, then allowed one way by copy_pairs, then refused again; and under load of both.
# kernels: 6.1
# timeout: 300
. "$LUNKIT_VM/lib.sh"

tank
CONF=/tmp/lunkitd.conf
allow() { printf '[tcmu]\ncopy_pairs=%s\n' "$1" >$CONF; }
reload() {
    allow "$1"
    kill -HUP "$(lunkitd_pid)"
    wait_for 10 "the reload to '$1'" eval "log_says \"copy_pairs: '.*' -> '$1'\""
}
allow ''
start_lunkitd --config $CONF
targets_ok < <(
    for lun in golden vm other; do echo "/backstores/user:file create name=$lun size=32M cfgstring=/tank/$lun"; done
    loopback_lines /backstores/user:file/{golden,vm,other}
)
for lun in golden vm other; do
    disk=$(loop_disk_of $lun)
    declare "DISK_$lun=$disk" "SG_$lun=$(sg_of "$disk")"
done
random_file /tank/data 8
dd if=/tank/data of="$DISK_golden" bs=1M oflag=direct status=none
empty() { cmp -n $((8 << 20)) "$1" /dev/zero; }
copy() { sg_xcopy "$3" if="$1" of="$2" bs=512 count=16384 bpt=4096; }
refused() {
    assert_fails "a copy from $1 to $2 $3" copy "$@"
}

step "refused without a pair, whichever of the two is asked"
for asked in --on_src --on_dst; do refused "$SG_golden" "$SG_vm" $asked; done
empty /tank/vm

step "allowed one way"
reload 'file/golden>file/vm'
copy "$SG_golden" "$SG_vm" --on_src
cmp -n $((8 << 20)) /tank/vm /tank/data
dd if=/dev/zero of="$DISK_vm" bs=1M count=8 oflag=direct status=none
copy "$SG_golden" "$SG_vm" --on_dst
cmp -n $((8 << 20)) /tank/vm /tank/data
sum=$(sha256sum </tank/golden)
for asked in --on_src --on_dst; do
    refused "$SG_vm" "$SG_golden" $asked
    refused "$SG_golden" "$SG_other" $asked
    refused "$SG_vm" "$SG_other" $asked
done
assert_eq "$(sha256sum </tank/golden)" "$sum" "the golden image"
empty /tank/other

step "refused while the destination is reserved"
dd if=/dev/zero of="$DISK_vm" bs=1M count=8 oflag=direct status=none
sg_persist --out --register --param-sark=0xabc "$SG_vm"
sg_persist --out --reserve --param-rk=0xabc --prout-type=1 "$SG_vm"
refused "$SG_golden" "$SG_vm" --on_src
empty /tank/vm
sg_persist --out --release --param-rk=0xabc --prout-type=1 "$SG_vm"
sg_persist --out --register --param-rk=0xabc --param-sark=0 "$SG_vm"
copy "$SG_golden" "$SG_vm" --on_src
cmp -n $((8 << 20)) /tank/vm /tank/data

step "refused while it is write protected"
sdparm --quiet --set=SWP "$DISK_vm"
refused "$SG_golden" "$SG_vm" --on_src
sdparm --quiet --clear=SWP "$DISK_vm"

step "both ways at once, while the destination is written to"
reload 'file/golden>file/vm;file/vm>file/golden'
fio --name=load --filename="$DISK_vm" --offset=16M --size=16M --ioengine=libaio --direct=1 --iodepth=16 --rw=randwrite --bs=4k \
    --verify=crc32c --verify_fatal=1 --do_verify=1 --minimal >/dev/null &
LOAD=$!
for ((i = 0; i < 4; i++)); do
    copy "$SG_golden" "$SG_vm" --on_src &
    there=$!
    copy "$SG_vm" "$SG_golden" --on_src &
    back=$!
    wait $there
    wait $back
done
wait $LOAD || fail "the load beside the copies"
cmp -n $((8 << 20)) /tank/vm /tank/data
cmp -n $((8 << 20)) /tank/golden /tank/data

step "refused once the pair is taken back"
reload ''
refused "$SG_golden" "$SG_vm" --on_src
stop_lunkitd
