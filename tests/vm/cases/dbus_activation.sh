# Nobody started the daemon: targetcli's first question on D-Bus does, without systemd.
# usually: 6.12
. "$LUNKIT_VM/lib.sh"
need_lunkitd
modprobe target_core_user
assert_eq "$(lunkitd_pid || :)" '' "daemon before"
said=$(targets <<<'ls /backstores')
echo "$said"
assert_match "$said" 'user:file' "backstores"
assert_match "$said" 'user:ram' "backstores"
lunkitd_pid
