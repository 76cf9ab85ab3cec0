# Chosen tests of libiscsi's suite on LUNs of other kinds: 4096 byte blocks, fully provisioned and without a write cache;
# and one that may only be read.
# timeout: 600
. "$LUNKIT_VM/libiscsi.sh"

tank
start_lunkitd
random_file /tank/readonly 64
targets_ok <<'EOT'
/backstores/user:file create name=b4096 size=64M cfgstring=/tank/b4096;discard=off control=hw_block_size=4096
/backstores/user:file/b4096 set attribute emulate_write_cache=0
/backstores/user:file create name=readonly size=64M cfgstring=/tank/readonly;readonly=on
EOT
libiscsi_export /backstores/user:file/b4096 /backstores/user:file/readonly
step "4096 byte blocks, fully provisioned, no write cache"
libiscsi_expect 0 b4096 '^(CompareAndWrite|ExtendedCopy|GetLBAStatus|Inquiry|Mandatory|ModeSense6|OrWrite|Read|Unmap|Verify|Write)'
step "read-only"
before=$(sha256sum </tank/readonly)
libiscsi_expect 1 readonly '^(CompareAndWrite|Inquiry|Mandatory|OrWrite|ReadOnly|Read10|Sanitize|Unmap|Write10|WriteSame16|WriteVerify16)'
assert_eq "$(sha256sum </tank/readonly)" "$before" "the image"
stop_lunkitd
