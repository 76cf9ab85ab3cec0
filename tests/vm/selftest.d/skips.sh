# A case that skips.
. "$LUNKIT_VM/lib.sh"
skip "planted reason"
