# Chosen tests of libiscsi's suite on what the whole of it is not run on: 4096 byte blocks, fully provisioned, without a write
# cache, read-only, in memory; every result is as checked in. Then the tests that fail on the whole, on LIO's own fileio: what
# fails there as well is not ours.
# usually: 6.1
# timeout: 2400
. "$LUNKIT_VM/libiscsi.sh"

tank
start_lunkitd
random_file /tank/readonly 64
targets_ok <<'EOT'
/backstores/user:file create name=thin-4096 size=64M cfgstring=/tank/thin-4096 control=hw_block_size=4096
/backstores/user:file create name=full-512 size=64M cfgstring=/tank/full-512;discard=off
/backstores/user:file create name=full-4096-uncached size=64M cfgstring=/tank/full-4096;discard=off control=hw_block_size=4096
/backstores/user:file create name=thin-512-uncached size=64M cfgstring=/tank/thin-512
/backstores/user:file create name=readonly size=64M cfgstring=/tank/readonly;readonly=on
/backstores/user:ram create name=memory size=64M cfgstring=memory
/backstores/fileio create name=fileio file_or_dev=/tank/fileio size=64M
/backstores/fileio/fileio set attribute emulate_tpu=1
EOT
for lun in full-4096-uncached thin-512-uncached; do
    echo 0 >"$(echo "$CONFIGFS"/core/user_*/$lun/attrib/emulate_write_cache)"
done
luns=(user:file/thin-4096 user:file/full-512 user:file/full-4096-uncached user:file/thin-512-uncached user:file/readonly
    user:ram/memory fileio/fileio)
libiscsi_export "${luns[@]/#//backstores/}"

# Not those that move hundreds of MiB a test: what they look at does not depend on the kind of LUN.
chosen='^(CompareAndWrite\.DpoFua|ExtendedCopy\.Simple|GetLBAStatus\.(Simple|BeyondEol)|Inquiry\.BlockLimits|ModeSense6\.AllPages'
chosen+='|OrWrite\.BeyondEol|Read16\.DpoFua|ReadCapacity16\.Simple|Sanitize\.BlockErase|Unmap\.VPD|Verify16\.Flags'
chosen+='|Write16\.DpoFua|WriteSame16\.(BeyondEol|UnmapVPD)|WriteVerify16\.Dpo)$'
for lun in 0 1 2 3; do
    step "${luns[lun]}"
    libiscsi_expect $lun "${luns[lun]#*/}" "$chosen"
done
step "read-only"
before=$(sha256sum </tank/readonly)
libiscsi_expect 4 readonly '^(Inquiry\.BlockLimits|Mandatory.*|ModeSense6\.AllPages|Read16\.(BeyondEol|DpoFua)|ReadCapacity16\.Simple|ReadOnly.*|Verify16\.BeyondEol)$'
assert_eq "$(sha256sum </tank/readonly)" "$before" "the image"
step "memory"
libiscsi_expect 5 memory '^(GetLBAStatus|Inquiry\.BlockLimits|Unmap\.VPD|WriteAtomic16|WriteSame16\.UnmapVPD).*'
if [[ $(uname -r) = 6.12* ]]; then    # the kernel that the whole runs on
    step "LIO's fileio"
    libiscsi_expect 6 fileio "^($(awk '$2 == "FAIL" || $2 == "VARIES" { print $1 }' "$LUNKIT_VM/libiscsi/whole" | paste -sd '|'))\$"
fi
stop_lunkitd
