# Every script of targetcli-examples/ and docs/examples/ runs to its end and cleans up after itself.
# kernels: 6.1
# usually: none
# timeout: 600
. "$LUNKIT_VM/lib.sh"

start_lunkitd
found=0
saved=/etc/rtslib-fb-target/saveconfig.json
for script in /lunkit/targetcli-examples/*.sh /lunkit/examples/*.sh; do
    found=$((found + 1))
    step "$(basename "$script")"
    status=0
    timeout 120 bash "$script" || status=$?
    assert_eq $status 0 "how $(basename "$script") ended"
    assert_match "$(dmsetup ls)" '^No devices found' "mapped devices left by $(basename "$script")"
    assert_eq "$(ls -d $CONFIGFS/core/user_*/*/attrib 2>/dev/null || :)" '' "backstores left by $(basename "$script")"
    [ ! -e $saved ] || assert_eq "$(jq '.storage_objects | length' $saved)" 0 "what $(basename "$script") would bring back at boot"
done
[ $found -gt 0 ] || fail "no examples"
stop_lunkitd
