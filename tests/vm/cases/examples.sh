# Every script of targetcli-examples/ runs to its end and cleans up after itself.
# timeout: 240
. "$LUNKIT_VM/lib.sh"

start_lunkitd
found=0
for script in /lunkit/targetcli-examples/*.sh; do
    found=$((found + 1))
    step "$(basename "$script")"
    timeout 60 bash "$script" || fail "$(basename "$script") ended with status $?"
    assert_eq "$(ls -d $CONFIGFS/core/user_*/*/attrib 2>/dev/null || :)" '' "backstores left by $(basename "$script")"
done
[ $found -gt 0 ] || fail "no examples"
stop_lunkitd
