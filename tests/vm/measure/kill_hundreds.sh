# As cases/kill_under_io.sh, three hundred times.
# timeout: 3000
KILLS=300
. "$LUNKIT_VM/kills.sh"
