# As cases/soak_short.sh, for 10,000 devices and an hour of load.
# timeout: 12000
. "$LUNKIT_VM/soak.sh"

soak 10000 3600
stop_lunkitd
