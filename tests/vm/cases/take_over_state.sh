# What a unit knows and its initiators count on outlives a daemon that is killed: mode parameters, a stopped unit, the unit
# attention for a new capacity, and a SANITIZE whose status was given long before it ends.
# kernels: 6.12
# timeout: 360
. "$LUNKIT_VM/lib.sh"

tank
start_lunkitd
user_lun file disk 128M /tank/disk
SG=$(sg_of "$DISK")
ATTRIB=$(echo "$CONFIGFS"/core/user_*/disk/attrib)
die() { kill_lunkitd && start_lunkitd; }
mode() { sdparm --get="$1" "$SG" | sed -nE "s/^$1 +([0-9]+).*/\1/p"; }

step "mode parameters"
assert_eq "$(mode WCE) $(mode SWP) $(mode D_SENSE)" "1 0 0" "at first"
sdparm --clear=WCE "$SG"
die
assert_eq "$(mode WCE)" 0 "WCE after a kill"
wait_for 10 "emulate_write_cache" grep -qx 0 "$ATTRIB/emulate_write_cache"
sdparm --set=SWP "$SG"
sdparm --set=D_SENSE "$SG"
die
assert_eq "$(mode WCE) $(mode SWP) $(mode D_SENSE)" "0 1 1" "after a kill"
assert_fails "a write to a write-protected unit" sg_raw -s 512 -i /dev/zero "$SG" 2a 00 00 00 00 00 00 00 01 00
assert_match "$output" 'Data Protect|Write protect' "a write to a write-protected unit"
sdparm --clear=SWP "$SG"
sdparm --clear=D_SENSE "$SG"
stop_lunkitd
start_lunkitd
assert_eq "$(mode WCE) $(mode SWP) $(mode D_SENSE)" "0 0 0" "after an orderly stop"

step "a stopped unit"
sg_start --stop "$SG"
die
assert_fails "TEST UNIT READY of a stopped unit" sg_turs "$SG"
sg_start --start "$SG"
die
sg_turs "$SG"

step "a new capacity"
while sg_turs "$SG" 2>&1 | grep -q attention; do :; done
echo 268435456 >"$ATTRIB/dev_size"
die
assert_fails "the first command behind a resize" sg_turs -v "$SG"
assert_match "$output" 'Unit attention|Capacity data has changed' "the first command behind a resize"
sg_turs "$SG"

step "SANITIZE, killed at random moments"
random_file /tank/data 128
dd if=/tank/data of="$DISK" bs=1M count=128 oflag=direct conv=notrunc status=none
printf '\xa5' >/tank/pattern
sg_sanitize --overwrite --pattern=/tank/pattern --ipl=1 --count=5 --invert --quick --early "$SG"
kills=0 met=0
until sg_turs "$SG" >/dev/null 2>&1; do
    kill_lunkitd
    kills=$((kills + 1))
    start_lunkitd
    # Nobody may use the medium before it is done.
    if output=$(sg_raw -r 512 "$SG" 28 00 00 00 00 00 00 00 01 00 2>&1); then
        continue
    fi
    case $output in *'anitize in progress'* | *'Not Ready'* | *'Not ready'*) met=$((met + 1)) ;; *) fail "a READ meanwhile: $output" ;; esac
    sleep "0.$((RANDOM % 4))"
    [ $kills -lt 200 ] || fail "the SANITIZE does not come to an end"
done
echo "$kills kills, $met of them beside the SANITIZE"
[ $met -gt 0 ] || fail "no kill met the SANITIZE"
assert_eq "$(tr -d "\245" </tank/disk | wc -c)" 0 "bytes that are not the pattern"
stop_lunkitd
