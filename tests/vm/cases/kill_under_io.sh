# Thirty kills of the daemon under verified load on the newer kernel, half as many on the older; see kills.sh. Hundreds are measure/kill_hundreds.sh.
# timeout: 400
KILLS=30
case $(uname -r) in 6.1.*) KILLS=15 ;; esac
. "$LUNKIT_VM/kills.sh"
