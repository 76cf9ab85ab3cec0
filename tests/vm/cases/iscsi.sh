# Two LUNs of one iSCSI target on 127.0.0.1, loaded at the same time by open-iscsi.
# usually: 6.12
# timeout: 240
. "$LUNKIT_VM/lib.sh"
iqn=iqn.2024-01.org.lunkit:case

tank
start_lunkitd
targets_ok < <(
    echo '/backstores/user:file create name=d size=64M cfgstring=/tank/d'
    echo '/backstores/user:ram create name=r size=64M cfgstring=r'
    iscsi_lines $iqn /backstores/user:file/d /backstores/user:ram/r
)
iscsi_login $iqn
file=$(iscsi_disk_of $iqn 0)
ram=$(iscsi_disk_of $iqn 1)
watch_errors "$file" "$ram"
verify_load "$file" &
load=$!
verify_load "$ram"
wait $load
assert_no_errors
sg_turs "$(sg_of "$file")"
iscsi_logout $iqn
targets_ok <<EOT
/iscsi delete $iqn
/backstores/user:file delete d
/backstores/user:ram delete r
EOT
stop_lunkitd
