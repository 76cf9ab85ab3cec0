# Thirty kills of the daemon under verified load; see kills.sh. Hundreds are measure/kill_hundreds.sh.
# timeout: 400
KILLS=30
. "$LUNKIT_VM/kills.sh"
