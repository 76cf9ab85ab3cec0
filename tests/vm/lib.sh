# shellcheck shell=bash
# What the cases of tests/vm share. A case starts with:  . "$LUNKIT_VM/lib.sh"
#
# Any command that fails ends the case as failed, with its line. What a case leaves behind (LUNs, sessions, mounts, the
# daemon, files below /tank and /mnt) is cleared away by the harness, so cases need no clean-up of their own.
# Names of disks are never guessed: a missing /dev/sdX makes dd or fio write a plain file of that name and "pass".
set -eEuo pipefail
trap 'echo "failed at ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND" >&2' ERR

cd /tmp     # fio and others leave files where they stand
CONFIGFS=/sys/kernel/config/target
LUNKITD_LOG=/run/lunkitd.log

# kernel_log: what the kernel has said since this case began.
kernel_log() { "$LUNKIT_VM/guest/kernel-log" "$(basename "$0" .sh)"; }

# --- outcome ---------------------------------------------------------------------------------------------------------

# fail TEXT: ends the case.
fail() { echo "FAIL: $*" >&2; exit 1; }
# skip REASON: ends the case as skipped.
skip() { echo "$*"; exit 77; }
# step TEXT: tells the log where the case is, with the seconds since it began.
step() { echo "--- $SECONDS s: $*"; }

# assert_eq ACTUAL EXPECTED WHAT
assert_eq() { [ "$1" = "$2" ] || fail "$3: got '$1', expected '$2'"; }
# assert_match TEXT REGEX WHAT
assert_match() { grep -q -i -E -e "$2" <<<"$1" || fail "$3: expected /$2/ in: $1"; }
# assert_no_match TEXT REGEX WHAT
assert_no_match() { ! grep -i -E -e "$2" <<<"$1" || fail "$3: did not expect /$2/"; }
# assert_fails WHAT COMMAND...: the command must end with an error; its output is in $output.
assert_fails() {
    local what=$1
    shift
    if output=$("$@" 2>&1); then fail "$what: succeeded, with: $output"; fi
}
# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || fail "waited in vain for: $what"
        sleep 0.1
    done
}

# --- the daemon ------------------------------------------------------------------------------------------------------

with_systemd() { [ -d /run/systemd/system ]; }
# need_lunkitd: skips where no build was given.
need_lunkitd() {
    command -v lunkitd >/dev/null && return
    [ ! -d /lunkit/stage ] || fail "the stage has no lunkitd"
    skip "no lunkitd in the guest (run with --stage)"
}

bus_name_taken() {
    dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \
        string:org.kernel.TCMUService1 | grep -q 'boolean true'
}
# start_lunkitd [ARGUMENT]...: starts the daemon and waits until it is ready. See `lunkitd_log`.
start_lunkitd() {
    local before
    need_lunkitd
    modprobe target_core_user
    if with_systemd; then
        systemctl start lunkitd.service
        wait_for 30 "lunkitd on D-Bus" bus_name_taken
        return
    fi
    before=$(times_ready)
    lunkitd --foreground "$@" >>$LUNKITD_LOG 2>&1 &
    LUNKITD_PID=$!
    # Asking D-Bus takes more processor time than the daemon's whole start.
    wait_for 30 "lunkitd to be ready" eval '[ "$(times_ready)" -gt "$before" ]'
}
times_ready() { grep -c ' is ready$' $LUNKITD_LOG || :; }
# stop_lunkitd: SIGTERM; the daemon must end by itself within 30 s and report success.
stop_lunkitd() {
    if with_systemd; then
        systemctl stop lunkitd.service
        assert_eq "$(systemctl show -P Result lunkitd.service)" success "result of the stopped unit"
        return
    fi
    local status=0 deadline=$((SECONDS + 30))
    kill -TERM "$LUNKITD_PID"
    while [ -d "/proc/$LUNKITD_PID" ] && [ "$(ps -o stat= -p "$LUNKITD_PID")" != Z ]; do
        [ $SECONDS -lt $deadline ] || fail "lunkitd did not end within 30 s of SIGTERM"
        sleep 0.1
    done
    wait "$LUNKITD_PID" || status=$?
    assert_eq "$status" 0 "exit status of lunkitd after SIGTERM"
}
# kill_lunkitd: the daemon dies without a chance to do anything about it.
kill_lunkitd() {
    local pid
    pid=$(lunkitd_pid)
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || :  # none of ours where systemd or D-Bus has started it
    wait_for 10 "end of lunkitd" eval "[ \"\$(lunkitd_pid)\" != $pid ]"  # systemd has the next one soon
}
# restart_lunkitd: as an operator does, with systemd.
restart_lunkitd() {
    local pid
    pid=$(lunkitd_pid)
    systemctl restart lunkitd.service
    [ "$(lunkitd_pid)" != "$pid" ] || fail "the daemon was not restarted"
}
# lunkitd_log: what it has said since the case began; shown at the end of every case that fails.
lunkitd_log() { if with_systemd; then journalctl -q -o cat -u lunkitd.service; else cat $LUNKITD_LOG; fi; }
log_says() { lunkitd_log | grep -q -i -E -e "$1"; }
rm -f $LUNKITD_LOG && : >$LUNKITD_LOG
end_of_case() {
    local status=$?
    if [ $status != 0 ] && [ $status != 77 ] && command -v lunkitd >/dev/null; then
        echo "--- lunkitd said:"
        lunkitd_log | tail -n 40
    fi
}
trap end_of_case EXIT
# lunkitd_pid: the running daemon, whoever started it.
lunkitd_pid() { pgrep -x lunkitd; }

# --- targetcli -------------------------------------------------------------------------------------------------------

# targets: feeds stdin to one targetcli, line by line (its start costs seconds here); prints what it says.
# targetcli reports errors only as text: use `targets_ok`, or look at what it says.
targets() {
    { echo 'set global auto_save_on_exit=false'; cat; } |
        timeout 90 targetcli 2>&1 | grep -v -e '^targetcli shell' -e '^Copyright' -e '^For help' -e 'preferences file' -e '^$'
}
# targets_ok: the same, and every line must have worked.
targets_ok() {
    local said
    said=$(targets) || fail "targetcli: $said"
    echo "$said"
    assert_no_match "$said" "$TARGETCLI_TROUBLE" "targetcli"
}
TARGETCLI_TROUBLE='could not|cannot|failed|error|no such|invalid|unknown|unexpected|wrong|traceback|not found|syntax'

# loopback_lines BACKSTORE-PATH...: the targetcli lines that export backstores over loopback, each in a target of its own
# with a name made from the path (loopback_wwn).
loopback_lines() {
    local backstore wwn
    for backstore; do
        wwn=$(loopback_wwn "$backstore")
        printf '/loopback create %s\n/loopback/%s/luns create %s\n' "$wwn" "$wwn" "$backstore"
    done
}
loopback_wwn() { printf 'naa.50014050%08x' "$(cksum <<<"$1" | cut -d' ' -f1)"; }
# iscsi_lines IQN BACKSTORE-PATH...: exports them as LUNs of one iSCSI target on 127.0.0.1, open to everybody.
iscsi_lines() {
    local iqn=$1 backstore
    shift
    echo 'set global auto_add_default_portal=false'
    printf '/iscsi create %s\n' "$iqn"
    for backstore; do printf '/iscsi/%s/tpg1/luns create %s\n' "$iqn" "$backstore"; done
    printf '/iscsi/%s/tpg1 set attribute generate_node_acls=1 demo_mode_write_protect=0 authentication=0 cache_dynamic_acls=1\n' "$iqn"
    printf '/iscsi/%s/tpg1/portals create 127.0.0.1 3260\n' "$iqn"
}

# user_lun HANDLER NAME SIZE CFGSTRING: makes user:HANDLER/NAME, exports it over loopback, sets DISK to its disk
# and watches that for errors.
user_lun() {
    targets_ok < <(
        echo "/backstores/user:$1 create name=$2 size=$3 cfgstring=$4"
        loopback_lines "/backstores/user:$1/$2"
    )
    DISK=$(loop_disk_of "$2")
    watch_errors "$DISK"
}

# --- disks -----------------------------------------------------------------------------------------------------------

# loop_address_of BACKSTORE-NAME: H:C:T:L of the backstore's LUN on the loopback fabric.
loop_address_of() {
    local link lun
    for link in "$CONFIGFS"/loopback/*/tpgt_*/lun/lun_*/*; do
        if [ -L "$link" ] && [ "$(basename "$(readlink "$link")")" = "$1" ]; then
            lun=${link%/*}
            echo "$(cat "${lun%/lun/*}/address"):${lun##*/lun_}"
            return
        fi
    done
    fail "backstore $1 is not exported over loopback"
}
# disk_at SECONDS H:C:T:L: prints /dev/sdX once it is there as a block device.
disk_at() {
    local deadline=$((SECONDS + $1)) name
    until name=$(ls "/sys/bus/scsi/devices/$2/block" 2>/dev/null) && [ -n "$name" ] && [ -b "/dev/$name" ]; do
        [ $SECONDS -lt $deadline ] || fail "no disk at SCSI address $2"
        sleep 0.1
    done
    echo "/dev/$name"
}
# loop_disk_of BACKSTORE-NAME: prints the disk by which this machine sees it over loopback.
loop_disk_of() { disk_at 20 "$(loop_address_of "$1")"; }

# iscsi_login IQN / iscsi_logout IQN: open-iscsi on 127.0.0.1.
iscsi_login() {
    modprobe iscsi_tcp
    pgrep -x iscsid >/dev/null || iscsid
    iscsiadm -m discovery -t sendtargets -p 127.0.0.1
    iscsiadm -m node -T "$1" -p 127.0.0.1 --login
}
iscsi_logout() { iscsiadm -m node -T "$1" --logout; }
# iscsi_disk_of IQN LUN: prints the disk of a session.
iscsi_disk_of() {
    local session name
    for session in /sys/class/iscsi_session/session*; do
        [ "$(cat "$session/targetname")" = "$1" ] || continue
        name=$(cd "$session/device" && echo target*)
        disk_at 20 "${name#target}:$2"
        return
    done
    fail "no iSCSI session with $1"
}

# failed_commands /dev/sdX: the commands of the disk that have not ended GOOD, a line each, from the kernel's own trace. Left
# out: questions that sd and udev ask of a disk at any time, and that it may refuse (INQUIRY, MODE and LOG SENSE, ATA,
# MAINTENANCE IN).
FAILED_COMMANDS=/sys/kernel/tracing/instances/failed_commands
failed_commands() {
    local host channel id lun
    IFS=: read -r host channel id lun < <(basename "$(readlink -f "/sys/block/${1##*/}/device")")
    grep "host_no=$host channel=$channel id=$id lun=$lun " "$FAILED_COMMANDS/trace" || :
}
# watch_errors DISK...: from here on; assert_no_errors: none of the watched disks has had an error since.
declare -A ERRORS_BEFORE=()
watch_errors() {
    local disk event=$FAILED_COMMANDS/events/scsi/scsi_dispatch_cmd_done
    [ -d /sys/kernel/tracing/instances ] || mount -t tracefs tracefs /sys/kernel/tracing
    if [ ! -d $FAILED_COMMANDS ]; then
        mkdir $FAILED_COMMANDS
        echo 'result != 0 && opcode != 0x12 && opcode != 0x1a && opcode != 0x5a && opcode != 0x4d && opcode != 0x85 && opcode != 0xa1 && opcode != 0xa3' \
            >$event/filter
        echo 1 >$event/enable
    fi
    for disk; do ERRORS_BEFORE[$disk]=$(failed_commands "$disk" | wc -l); done
}
assert_no_errors() {
    local disk
    for disk in "${!ERRORS_BEFORE[@]}"; do
        [ "$(failed_commands "$disk" | wc -l)" = "${ERRORS_BEFORE[$disk]}" ] || fail "failed commands of $disk, the last: $(failed_commands "$disk" | tail -n 5)"
    done
}
# allocated FILE: bytes that the file occupies.
allocated() { echo $(($(stat -c '%b * %B' "$1"))); }
# random_file FILE MIB: content that compresses and dedups badly and is cheap to make here.
random_file() { dd if=/dev/urandom of="$1" bs=1M count="$2" status=none; }

# tank [tmpfs|ext4|xfs]: mounts an empty file system at /tank for images; ext4 and xfs are on the scratch disk.
tank() {
    case ${1:-tmpfs} in
    tmpfs) mount -t tmpfs -o size=2G tank /tank ;;
    ext4) mkfs.ext4 -q -F /dev/scratch-disk && mount /dev/scratch-disk /tank ;;
    xfs) mkfs.xfs -q -f /dev/scratch-disk && mount /dev/scratch-disk /tank ;;
    esac
}

# dm_device NAME TABLE: a device-mapper device with its node (without udev nobody else makes it).
dm_device() {
    modprobe dm_mod
    dmsetup create "$1" --table "$2"
    dmsetup mknodes "$1"
    [ -b "/dev/mapper/$1" ] || fail "no /dev/mapper/$1"
}

# mirror_legs MIB: the legs of a mirror, $leg0 and $leg1: block devices on /tank/leg0 and /tank/leg1, which differ.
mirror_legs() {
    local leg
    tank
    modprobe loop
    modprobe dm_mirror
    for leg in 0 1; do
        random_file /tank/leg$leg "$1"
        declare -g "leg$leg=$(losetup --find --show /tank/leg$leg)"
    done
}

# begin_loads DISK...: mixed load of each disk, read back and compared all the time, until end_loads. loads_go_on WHEN: fails when
# one of them has ended by itself. They take what processor time is left, so that a daemon under them starts soon.
LOADS=()
begin_loads() {
    local disk
    for disk; do
        [ -b "$disk" ] || fail "$disk is not a block device"
        nice -n 15 fio --name=load --filename="$disk" --ioengine=libaio --direct=1 --iodepth=32 --rw=randrw --bsrange=4k-64k --size=48M \
            --verify=crc32c --verify_fatal=1 --verify_backlog=256 --time_based --runtime=100000 --minimal \
            >"/tank/load.${disk##*/}" 2>&1 &
        LOADS+=($!)
    done
}
loads_go_on() {
    local load
    for load in "${LOADS[@]}"; do
        [ -d "/proc/$load" ] || fail "fio ended $1: $(tail -n 3 /tank/load.*)"
    done
}
end_loads() {
    local result
    loads_go_on "before its time"
    kill -INT "${LOADS[@]}"
    wait "${LOADS[@]}" || :  # that it was ended is an error of its own to fio
    for result in /tank/load.*; do
        assert_eq "$(grep '^3;' "$result" | cut -d';' -f5)" 0 "fio's error: $(cat "$result")"
    done
}

# verify_load DISK [FIO-OPTION]...: mixed random writes of several sizes, then everything read back and compared.
verify_load() {
    local disk=$1
    shift
    [ -b "$disk" ] || fail "$disk is not a block device"
    fio --name=verify --filename="$disk" --ioengine=libaio --direct=1 --iodepth=16 --rw=randwrite --bsrange=4k-128k \
        --size=16M --verify=crc32c --verify_fatal=1 --do_verify=1 --randseed=4711 \
        --minimal "$@" >/dev/null || fail "fio --verify on $disk"
}

# --- SCSI ------------------------------------------------------------------------------------------------------------

# sg_of DISK: its /dev/sgN.
sg_of() {
    local node
    node=$(ls "/sys/block/${1##*/}/device/scsi_generic")
    [ -c "/dev/$node" ] || fail "no sg node for $1"
    echo "/dev/$node"
}
# sense SENSE ADDITIONAL COMMAND...: the command, an sg3_utils program, must end with that CHECK CONDITION; regexes.
sense() {
    local key=$1 additional=$2
    shift 2
    assert_fails "$*" "$@"
    assert_match "$output" "$key" "sense key of: $*"
    assert_match "$output" "$additional" "additional sense of: $*"
}
# Without this sg_raw takes some CDBs for commands of NVMe.
sg_raw() { command sg_raw --cmdset=1 "$@"; }
# cdb BYTE...: sends a command without data to $SG.     cdb_in LENGTH BYTE...: one that reads, prints the bytes raw.
# cdb_out FILE BYTE...: one that writes the file.        All print the sense data on failure.
cdb() { sg_raw "$SG" "$@" 2>&1; }
cdb_in() {
    local length=$1
    shift
    sg_raw -b -r "$length" "$SG" "$@"
}
cdb_out() {
    local file=$1
    shift
    sg_raw -s "$(stat -c %s "$file")" -i "$file" "$SG" "$@" 2>&1
}
# be32 NUMBER / be64 NUMBER: its bytes for a CDB, most significant first.
be32() { printf '%08x' "$1" | sed 's/../& /g'; }
be64() { printf '%016x' "$1" | sed 's/../& /g'; }
# image_blocks LBA COUNT: the blocks of $IMAGE, read behind the daemon's back.
image_blocks() { dd if="$IMAGE" bs=512 skip="$1" count="$2" status=none; }
# scsi_lun: one user:file LUN of 64 MiB; sets DISK, SG, IMAGE, and BLOCKS. Mind that the file is cached by nobody else.
scsi_lun() {
    tank
    start_lunkitd
    IMAGE=/tank/lun BLOCKS=131072
    user_lun file lun 64M $IMAGE
    SG=$(sg_of "$DISK")
}
