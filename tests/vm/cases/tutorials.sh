# The commands of docs/tutorials, page by page, on a machine with systemd. Each page takes away what it has made.
# boot: systemd
# kernels: 6.12
# timeout: 480
. "$LUNKIT_VM/lib.sh"
. "$LUNKIT_VM/tutorials.sh"

start_lunkitd
files_of_machine() { { find /srv /mnt /etc/lunkit /var/lib/lunkit ! -type d 2>/dev/null || :; } | sort; }
files_of_machine >/run/files-before
for page in "$TUTORIALS"/*.md; do
    page=$(basename "$page" .md)
    case $page in README | boot) continue ;; esac    # boot: systemd_reboot.sh
    step "$page"
    run_tutorial "$page"
    case $page in
    iscsi-chap) assert_match "$output" '^refused, as it should be' "a login without the password" ;;
    esac
    assert_eq "$(ls -d $CONFIGFS/core/user_*/*/attrib 2>/dev/null || :)" '' "backstores left by $page"
    assert_eq "$(lunkit list --json | jq length)" 0 "devices left by $page"
    files_of_machine | diff /run/files-before - || fail "files left by $page"
done
saved=/etc/rtslib-fb-target/saveconfig.json
assert_eq "$(jq '(.storage_objects | length) + (.targets | length)' $saved)" 0 "what would be there after a reboot"
