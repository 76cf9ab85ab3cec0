# shellcheck shell=bash
# Runs the commands of a page of docs/tutorials, as it is installed. Blocks that begin with ```sh are a part of their own for
# each word behind that: `sh` alone is what can run in a guest at once, `sh elsewhere` what cannot.
TUTORIALS=/usr/share/doc/lunkit/tutorials

# tutorial_commands PAGE [PART]: prints them.
tutorial_commands() {
    awk -v block='```sh'"${2:+ $2}" '$0 == block { inside = 1; next } /^```/ { inside = 0 } inside' "$TUTORIALS/$1.md"
}

# run_tutorial PAGE [PART]: in one shell, and each command must succeed; targetcli, which tells most errors only as text, must
# have none to tell. What they say is in $output too.
run_tutorial() {
    local script=/run/tutorial.sh
    {
        printf 'TROUBLE=%q\n' "$TARGETCLI_TROUBLE"
        cat <<'EOS'
set -eu -o pipefail
targetcli() {
    { local - said; set +x; } 2>/dev/null
    said=$(command targetcli "$@" 2>&1) || { echo "$said"; return 1; }
    said=$(grep -v 'preferences file' <<<"$said" || :)
    echo "$said"
    ! grep -i -E -e "$TROUBLE" <<<"$said" || { echo "targetcli had trouble"; return 1; }
}
PS4='+ $SECONDS s: '
set -x
EOS
        tutorial_commands "$@"
    } >$script
    [ -n "$(tutorial_commands "$@")" ] || fail "$* has no commands"
    output=$(bash $script 2>&1) || fail "the tutorial $*: $output"
    echo "$output"
}
