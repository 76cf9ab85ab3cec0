# A kernel without ublk: who asks for a device is told what to do about it, and nobody else hears of it.
# kernels: 6.1
. "$LUNKIT_VM/lib.sh"

start_lunkitd
assert_fails "add" lunkit ublk add null/
assert_match "$output" 'no ublk .*linux-image-6.12-amd64' "what add says"
assert_eq "$(lunkit ublk list --json | jq length)" 0 "devices"
assert_no_match "$(lunkitd_log)" 'error:|warning:' "the log"
stop_lunkitd
