# libiscsi's whole suite on a thin LUN of 512 byte blocks with a write cache; every result is as checked in.
# timeout: 1800
# kernels: 6.12
. "$LUNKIT_VM/libiscsi.sh"

tank
start_lunkitd
targets_ok <<<'/backstores/user:file create name=lun size=256M cfgstring=/tank/lun'
libiscsi_export /backstores/user:file/lun
libiscsi_expect 0 whole
stop_lunkitd
