# What cannot work is refused with a message that says why, soon, and hurts nobody.
# usually: 6.1
# timeout: 360
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
user_lun file good 16M /tank/good
truncate -s 8M /tank/short
mkdir /tank/folder
echo text >/tank/notes

step "messages in targetcli"
said=$(targets < <(sed "s/LONG/$(printf 'x%.0s' {1..300})/" <<'EOT'
/backstores/user:file create name=nodir size=16M cfgstring=/nonexistent/x
/backstores/user:file create name=folder size=16M cfgstring=/tank/folder
/backstores/user:file create name=key size=16M cfgstring=/tank/key;frobnicate=1
/backstores/user:file create name=value size=16M cfgstring=/tank/value;direct=maybe
/backstores/user:file create name=missing size=16M cfgstring=/tank/missing;create=off
/backstores/user:file create name=relative size=16M cfgstring=tank/relative
/backstores/user:ram create name=ramkey size=16M cfgstring=r;frobnicate=1
/backstores/user:nosuch create name=nosuch size=16M cfgstring=x
/backstores/user:file create name=long size=16M cfgstring=/tank/LONG
ls /backstores
EOT
))
echo "$said"
assert_match "$said" 'cfgstring invalid: .*255' "config string that the kernel would cut"
assert_match "$said" 'cfgstring invalid: .*(/nonexistent)' "missing folder"
assert_match "$said" 'cfgstring invalid: .*/tank/folder.*(director|regular|not a)' "a folder as an image"
assert_eq "$(grep -c 'cfgstring invalid: .*frobnicate' <<<"$said")" 2 "unknown keys refused by name"
assert_match "$said" 'cfgstring invalid: .*(maybe|direct)' "bad value"
assert_match "$said" 'cfgstring invalid: .*/tank/missing' "missing image with create=off"
assert_match "$said" 'cfgstring invalid: .*(relative|absolute)' "relative path"
assert_match "$said" 'user:nosuch' "unknown handler"

step "what only the size or another LUN makes wrong"
said=$(targets <<'EOT'
/backstores/user:file create name=short size=16M cfgstring=/tank/short
/backstores/user:file create name=twice size=16M cfgstring=/tank/good
/backstores/user:file create name=none size=0 cfgstring=/tank/none
/backstores/user:file create name=odd size=1000001 cfgstring=/tank/odd
/backstores/user:file create name=huge size=8388608T cfgstring=/tank/huge
ls /backstores
EOT
)
echo "$said"
assert_eq "$(grep -c -i -E 'creation failed|cfgstring invalid' <<<"$said")" 5 "refusals"
refusal() { lunkitd_log | grep -E "user_[0-9]+/$1: .*refusing the device|handler.*$1" || fail "no word about $1"; }
assert_match "$(refusal short)" "8388608 bytes.*16777216" "the size of /tank/short"
assert_match "$said" 'cfgstring invalid: /tank/good is already served as user_0/good' "the second LUN of /tank/good"
assert_match "$(refusal none)" 'not created without a size' "size 0"
assert_match "$(refusal odd)" 'no whole number of blocks' "a size that is no multiple of the block size"
assert_eq "$(ls -d $CONFIGFS/core/user_*/*/ | grep -c -v '/alua/')" 1 "backstores left"
assert_eq "$(stat -c %s /tank/short)" $((8 << 20)) "size of the image that did not fit"
[ ! -e /tank/key ] && [ ! -e /tank/value ] && [ ! -e /tank/missing ] || fail "a refused create made an image"

step "an unknown handler, past targetcli"
mkdir -p $CONFIGFS/core/user_99/stray
echo 'dev_config=nosuch/x,dev_size=1048576' >$CONFIGFS/core/user_99/stray/control
start=$SECONDS
assert_fails "enable of an unknown handler" timeout 20 bash -c "echo 1 >$CONFIGFS/core/user_99/stray/enable"
assert_match "$output" 'No such file' "enable of an unknown handler"
# Another runner may know the subtype: ours answers only after foreign_timeout_ms, 10 s.
[ $((SECONDS - start)) -lt 16 ] || fail "enable hung"

step "the good LUN never noticed"
verify_load "$DISK" --size=4M
assert_no_errors
stop_lunkitd
