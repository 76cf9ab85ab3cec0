#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The documents by themselves: links and references lead somewhere, each page can be found, tutorials have only blocks that a
# test runs or that say why not, README's commands are among those, and pictures are what their sources say.
# (What pages say of the programs: tests/control/check_docs.sh.)
# Usage: tests/docs/pages.sh [ROOT]   Prints what is wrong; exit 1 if there is anything.
set -u
cd "${1:-$(dirname "$0")/../..}" || exit 2
status=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
complain() {
    echo "$*"
    status=1
}

mapfile -t texts < <(find . \( -name build -o -name .git \) -prune -o -name '*.md' -print)
pages=(docs/*.[1-8])

# Links of Markdown: files that are there, beside the page that names them.
for text in "${texts[@]}"; do
    while read -r link; do
        [ -e "$(dirname "$text")/${link%%#*}" ] || complain "$text: no such file: $link"
    done < <(grep -oE '\]\([^)# ]+[^) ]*\)' "$text" | sed 's/^](\(.*\))$/\1/' | grep -vE '^[a-z]+:')
done

# name(section), wherever it stands, is a page of ours; what other projects have is named here.
others='blkzone(8) dmsetup(8) qemu-img(1) sg_rep_zones(8) systemd(1) systemd.exec(5) targetcli(8) tmpfs(5) truncate(1)'
{
    grep -oE '\blunkitd?([.-][a-z-]+)?\([1-8]\)' "${texts[@]}" | sed 's/:/ /'
    sed -nE 's/^\.Xr ([^ ]+) ([1-8]).*/\1(\2)/p; s/.* Xr ([^ ]+) ([1-8]).*/\1(\2)/p' "${pages[@]}" | sed 's/^/docs: /'
} | sort -u >"$work/references"
while read -r place name; do
    page=${name%(*}.${name: -2:1}
    [ -e "docs/$page" ] || [[ " $others " = *" $name "* ]] || complain "$place: there is no $name"
done <"$work/references"

# Each page has its own name, and is named by README and by lunkitd(8).
for path in "${pages[@]}"; do
    page=${path#docs/}
    name=${page%.*} section=${page##*.}
    grep -qx "\.Dt ${name^^} $section" "$path" || complain "$path: not called $name($section)"
    grep -qF "$name($section)" README.md || complain "README.md does not name $name($section)"
    [ "$page" = lunkitd.8 ] || sed -n '/^\.Sh SEE ALSO/,$p' docs/lunkitd.8 | grep -qE "^\.Xr $name $section( ,)?\$" ||
        complain "SEE ALSO of lunkitd(8) does not name $name($section)"
done
# And so has each guide.
for text in docs/*.md docs/tutorials/README.md; do
    grep -qF "]($text)" README.md || complain "README.md has no link to $text"
done

# lunkit-handler(3) and the header: callbacks and host calls.
sed -nE '/^struct lunkit_(host|handler) \{/,/^\};/ s/^    (int|void) \*?\(\*([a-z_]+)\)\(.*/\2/p' include/lunkit/handler.h |
    grep -vE '^reserved' | sort -u >"$work/header"
sed -nE 's/^\.It (Fn .*)/\1/p' docs/lunkit-handler.3 | tr -d ',' | tr ' ' '\n' | grep -vx -e Fn -e '' | sort -u >"$work/page"
diff "$work/header" "$work/page" >"$work/diff" || complain "lunkit-handler(3) (>) and handler.h (<): $(cat "$work/diff")"

# Tutorials: commands in blocks ```sh, which run, ```sh PART, which run in the case that knows the part, or ```sh elsewhere.
for text in docs/tutorials/*.md; do
    awk '/^```/ && !inside { inside = 1; print; next } /^```/ { inside = 0 }' "$text" |
        grep -vxE '```(sh|sh elsewhere|xml|)' >"$work/parts"
    while read -r block; do
        part=${block#'```sh '}
        if [ "$block" = "$part" ] || ! grep -qwF "run_tutorial $(basename "$text" .md) $part" tests/vm/cases/*.sh; then
            complain "$text: nobody runs the blocks $block"
        fi
    done <"$work/parts"
    awk '/^```sh/ { inside = 1; next } /^```/ { inside = 0 } inside' "$text" >"$work/commands"
    bash -n "$work/commands" 2>"$work/errors" || complain "$text: $(cat "$work/errors")"
    name=$(basename "$text")
    [ "$name" = README.md ] || grep -qF "]($name)" docs/tutorials/README.md || complain "docs/tutorials/README.md has no link to $name"
done
# A reader's first commands are in a tutorial to the letter.
awk '/^```/ { inside = 0 } /^```sh$/ { inside = 1; next } inside' docs/tutorials/*.md >"$work/run"
awk '/^## / { wanted = /^## Serve your own file/ } wanted && /^```/ { inside = !inside; next } wanted && inside' README.md |
    sed -E 's/[[:space:]]+#.*//' >"$work/first"
[ -s "$work/first" ] || complain "README.md has no first commands"
while read -r command; do
    grep -qxF -- "$command" "$work/run" || complain "README.md: in no tutorial that is run: $command"
done <"$work/first"

# Pictures: made from their sources (as far as what they say), and used.
said_by() { grep -oE '<(title|text)[ >][^<]*' "$1" | sed -E 's/<[^>]*>//; s/&#45;/-/g; s/&gt;/>/g' | sort; }
command -v dot >/dev/null || complain "dot is not installed (package graphviz): the pictures cannot be checked"
cp docs/pictures/*.dot "$work"
(cd "$work" && dot -Tsvg -O ./*.dot) 2>"$work/errors" && [ ! -s "$work/errors" ] || complain "docs/pictures: $(cat "$work/errors")"
for source in docs/pictures/*.dot; do
    picture=${source%.dot}.svg
    if [ ! -e "$picture" ]; then
        complain "$source: no $picture (build the target pictures)"
    elif ! diff <(said_by "$work/$(basename "$source").svg") <(said_by "$picture") >"$work/diff"; then
        complain "$picture is older than its source (build the target pictures): $(cat "$work/diff")"
    fi
    grep -qF "](${picture#docs/})" docs/*.md || complain "$picture: in no page"
done
exit $status
