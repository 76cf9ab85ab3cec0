# A case that fails, for the harness to notice.
. "$LUNKIT_VM/lib.sh"
echo "planted failure"
false
