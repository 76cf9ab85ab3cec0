# Fifteen kills of the daemon under verified load, on each kernel; see kills.sh. Hundreds are measure/kill_hundreds.sh.
# timeout: 900
KILLS=15
. "$LUNKIT_VM/kills.sh"
