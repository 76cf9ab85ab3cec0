#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# pages.sh must see each kind of fault: they are planted in a copy of the documents, all at once.
# Usage: tests/docs/pages_test.sh [ROOT]
# shellcheck disable=SC2016  # the blocks of Markdown begin with what a shell would run
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "${1:-$here/../..}" && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/include/lunkit" "$copy/tests/vm/cases" "$copy/.github"
cp "$root"/*.md "$copy"
cp -r "$root/docs" "$copy"
cp "$root/include/lunkit/handler.h" "$copy/include/lunkit"
cp "$root/tests/vm/cases/"*.sh "$copy/tests/vm/cases"
cp "$root/.github/CONTRIBUTING.md" "$copy/.github"
"$here/pages.sh" "$copy"

# plant WHAT SAYS COMMAND: runs the command in the copy. pages.sh must complain about that with words that match SAYS.
declare -A says=()
plant() {
    says[$1]=$2
    (cd "$copy" && bash -c "$3")
}
plant "a link to nowhere" 'docs/qcow.md: no such file: gone.md' 'echo "[x](gone.md)" >>docs/qcow.md'
plant "a page that is not there, in a text" 'NEWS.md: there is no lunkit-gone\(7\)' 'echo "lunkit-gone(7)" >>NEWS.md'
plant "a page that is not there, in a page" 'there is no lunkit-gone\(7\)' 'sed -i "s/^\.Xr lunkit-file 7 ,/.Xr lunkit-gone 7 ,/" docs/lunkit.1'
plant "a reference within a line" 'there is no gone\(7\)' 'echo ".Pq see Xr gone 7" >>docs/lunkit.1'
plant "a page with the name of another" 'docs/lunkit-ram.7: not called' 'sed -i "s/^\.Dt .*/.Dt LUNKIT-FILE 7/" docs/lunkit-ram.7'
plant "a page that README does not name" 'README.md does not name lunkit-zbc\(7\)' 'sed -i "s/lunkit-zbc(7)//" README.md'
plant "a page that lunkitd(8) does not name" 'SEE ALSO of lunkitd\(8\) does not name lunkit-zbc' \
    'sed -i "/^\.Sh SEE ALSO/,\$ { /lunkit-zbc/d }" docs/lunkitd.8'
plant "a guide that README does not name" 'README.md has no link to docs/more.md' 'echo more >docs/more.md'
plant "a callback without a word in lunkit-handler(3)" '< inspect' 'sed -i "/^\.It Fn inspect/d" docs/lunkit-handler.3'
plant "a host call that is made up" '> file_copy' 'echo ".It Fn file_copy" >>docs/lunkit-handler.3'
plant "a block that nobody runs" 'nobody runs the blocks ```sh later' 'printf "%s\n" "\`\`\`sh later" "ls" "\`\`\`" >>docs/tutorials/ublk.md'
plant "a block in another language" 'nobody runs the blocks ```bash' 'printf "%s\n" "\`\`\`bash" "ls" "\`\`\`" >>docs/tutorials/ublk.md'
plant "a command that is no shell" 'docs/tutorials/ublk.md: .*syntax error' 'printf "%s\n" "\`\`\`sh elsewhere" "if (" "\`\`\`" >>docs/tutorials/ublk.md'
plant "a tutorial that cannot be found" 'docs/tutorials/README.md has no link to new.md' 'echo new >docs/tutorials/new.md'
plant "a first command that nobody runs" 'in no tutorial that is run: lsblk' \
    'sed -i "/^lsblk\$/d" docs/tutorials/*.md'
plant "a picture with a fault in its source" 'docs/pictures: .*command.dot: syntax error' 'echo "}}" >>docs/pictures/command.dot'
plant "a picture that is older than its source" 'docs/pictures/overview.svg is older' 'sed -i "s/netlink/netlynk/" docs/pictures/overview.dot'
plant "a picture that was not made" 'docs/pictures/new.dot: no docs/pictures/new.svg' 'echo "digraph new { a -> b }" >docs/pictures/new.dot'
plant "a picture that no page shows" 'docs/pictures/takeover.svg: in no page' 'sed -i "/takeover.svg/d" docs/architecture.md'

said=$("$here/pages.sh" "$copy" 2>&1) && { echo "pages.sh saw nothing"; exit 1; }
status=0
for what in "${!says[@]}"; do
    if ! grep -qE -e "${says[$what]}" <<<"$said"; then
        echo "pages.sh did not see $what"
        status=1
    fi
done
[ $status = 0 ] || { echo "it saw: $said"; exit 1; }
echo "${#says[@]} faults planted, and seen"
