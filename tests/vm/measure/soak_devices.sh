# As cases/soak_short.sh, for 10,000 devices.
# timeout: 6000
. "$LUNKIT_VM/soak.sh"

soak 10000 60
stop_lunkitd
