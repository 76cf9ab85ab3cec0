# Memory, descriptors and threads of the daemon while devices come and go and one works. The long form is measure/soak_long.sh.
# kernels: 6.12
# timeout: 480
. "$LUNKIT_VM/soak.sh"

soak 100 8
idle_devices 50
[ "$IDLE_KIB" -le 256 ] || fail "an idle device takes $IDLE_KIB KiB"
stop_lunkitd
