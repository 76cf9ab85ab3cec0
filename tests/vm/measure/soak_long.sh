# As cases/soak_short.sh, with an hour of load.
# timeout: 6000
. "$LUNKIT_VM/soak.sh"

soak 100 3600
stop_lunkitd
