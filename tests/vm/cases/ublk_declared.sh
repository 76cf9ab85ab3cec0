# ublk devices that are declared in devices.d: they come with the daemon and with a reload; broken files are told,
# and storage on a device of the same daemon is refused.
# kernels: 6.12
# timeout: 240
. "$LUNKIT_VM/lib.sh"

tank
mkdir -p /tank/etc/devices.d /mnt/u
conf=/tank/etc/lunkitd.conf
: >$conf
declare_device() { # declare_device NAME LINE...
    printf '%s\n' '[ublk]' "${@:2}" >"/tank/etc/devices.d/$1.conf"
}
running() { lunkit ublk list --json | jq -r 'map(select(.state == "running").name) | sort | join(" ")'; }
come_up() { wait_for 20 "the devices $*" eval "[ \"\$(running)\" = '$*' ]"; }

step "two come with the daemon, although others are broken, without storage, or on a device of the daemon's own"
truncate -s 64M /tank/disk /tank/other
declare_device 10-disk config=file//tank/disk number=5
declare_device 20-other config=file//tank/other number=3 block_size=4096
declare_device 25-on-it config=file//dev/ublkb5 number=2
declare_device 30-broken config=ram/x number=three
declare_device 40-missing config=file//tank/missing number=6
assert_fails "--check-config" lunkitd --check-config --config $conf
assert_match "$output" '30-broken.conf:3: number: .three. is not a number' "what --check-config says"
start_lunkitd --config $conf
come_up ublkb3 ublkb5
assert_eq "$(blockdev --getss /dev/ublkb3)" 4096 "block size"
wait_for 10 "the broken one in the log" log_says '30-broken.conf:3: number'
wait_for 10 "the missing one in the log" log_says '40-missing.conf: .*missing'
mkfs.ext4 -q -F /dev/ublkb3
mount /dev/ublkb3 /mnt/u
random_file /mnt/u/data 4
cp /mnt/u/data /tank/copy

step "no storage lies on a device of the daemon"
wait_for 10 "the one on the other in the log" log_says '25-on-it.conf: .*/dev/ublkb5 is served by this daemon'
on_own() { # on_own DISK COMMAND...
    assert_fails "storage on $1" "${@:2}"
    assert_match "$output" "lies on $1, which is served by this daemon" "refusal"
}
on_own ublkb3 lunkit ublk add file//mnt/u/data
on_own ublkb3 lunkit ublk add file//mnt/u/new --size 1M
[ ! -e /mnt/u/new ] || fail "it was created all the same"
umount /mnt/u
dm_device own "0 2048 linear /dev/ublkb5 0"
on_own ublkb5 lunkit ublk add file//dev/mapper/own
dmsetup remove --retry own
assert_match "$(targets <<<'/backstores/user:file create name=own size=64M cfgstring=/dev/ublkb5')" \
    'cfgstring invalid: .*/dev/ublkb5 is served by this daemon' "what targetcli says"
user_lun file lun 16M /tank/lun
assert_fails "storage on a LUN of its own" lunkit ublk add "file/$DISK"
assert_match "$output" "$DISK is served by this daemon" "refusal"
targets_ok < <(
    echo "/loopback delete $(loopback_wwn /backstores/user:file/lun)"
    echo '/backstores/user:file delete lun'
)
assert_eq "$(running)" "ublkb3 ublkb5" "devices"

step "a reload with a broken file says so and changes nothing"
truncate -s 16M /tank/missing
assert_fails "a reload" lunkit reload
assert_match "$output" '30-broken.conf:3' "what reload says"
assert_eq "$(running)" "ublkb3 ublkb5" "devices"

step "a reload makes what is new and what had failed"
declare_device 30-broken config=ram/x number=1 size=16M read_only=yes
kill -HUP "$(lunkitd_pid)"
come_up ublkb1 ublkb3 ublkb5 ublkb6
assert_eq "$(blockdev --getro /dev/ublkb1)" 1 "read only"
verify_load /dev/ublkb6 --size=8M

step "one that was removed stays so until the next start"
lunkit ublk del 1
lunkit reload
sleep 1
assert_eq "$(running)" "ublkb3 ublkb5 ublkb6" "devices after a reload"
stop_lunkitd
start_lunkitd --config $conf
come_up ublkb1 ublkb3 ublkb5 ublkb6
mount /dev/ublkb3 /mnt/u
cmp /mnt/u/data /tank/copy
umount /mnt/u

step "a daemon that was killed: what it served is taken over, and made once"
kill_lunkitd
start_lunkitd --config $conf
come_up ublkb1 ublkb3 ublkb5 ublkb6
wait_for 10 "the last of them" log_says '40-missing.conf: ublkb6 is there already'
assert_eq "$(running)" "ublkb1 ublkb3 ublkb5 ublkb6" "devices of the next daemon"
assert_no_match "$(kernel_log)" 'I/O error' "kernel log"
for number in 3 1 6 5; do lunkit ublk del $number; done
assert_eq "$(running)" "" "devices"
stop_lunkitd
