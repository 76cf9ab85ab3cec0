# Every script of targetcli-examples/ and docs/examples/ runs to its end and cleans up after itself, and leaves the user's own
# files and backstores alone.
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

step "an image and a backstore of somebody else"
tank
for script in $(grep -l '^image=' /lunkit/targetcli-examples/*.sh); do
    echo "not to be lost" >/tank/image
    assert_fails "$(basename "$script") with an image that is there" timeout 120 bash "$script" /tank/image
    assert_match "$output" '/tank/image is there already' "why $(basename "$script") refuses"
    assert_eq "$(cat /tank/image)" "not to be lost" "the image after $(basename "$script")"
done
targets_ok <<<'/backstores/user:file create name=example size=16M cfgstring=/tank/mine'
assert_fails "an example with a backstore that is there" bash /lunkit/targetcli-examples/file-loopback.sh
assert_match "$output" 'there is a backstore example already' "why it refuses"
[ -e /tank/mine ] && ls -d $CONFIGFS/core/user_*/example || fail "the backstore that was there is gone"
targets_ok <<<'/backstores/user:file delete example'

step "a device of somebody else"
random_file /tank/leg 16
device=$(losetup --find --show /tank/leg)
sum=$(sha256sum </tank/leg)
timeout 120 bash /lunkit/targetcli-examples/block-device.sh "$device" || fail "block-device.sh with a device"
assert_eq "$(sha256sum </tank/leg)" "$sum" "the device's contents"
losetup -d "$device"
stop_lunkitd
