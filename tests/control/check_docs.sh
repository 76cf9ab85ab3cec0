#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The manual pages against what they describe: the options of both programs, the commands and which options each has, the keys of
# lunkitd.conf with their defaults, those of the handlers, and the D-Bus interfaces. Both ways: nothing is missing, nothing is made up.
# (What documents are by themselves: tests/docs/pages.sh.)
# Usage: check_docs.sh ROOT LUNKITD LUNKIT
set -u
root=${1:?usage: check_docs.sh ROOT LUNKITD LUNKIT} lunkitd=${2:?} lunkit=${3:?}
docs=$root/docs
failed=0

# same WHAT FILE1 FILE2: two sorted lists.
same() {
    if ! diff <(sort -u "$2") <(sort -u "$3") >"$folder/diff"; then
        printf '%s (< program, > manual):\n' "$1"
        grep '^[<>]' "$folder/diff"
        failed=1
    fi
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# A page's own long options: ".It Fl h , Fl -help", ".It Fl -json".
manual_options() { sed -nE 's/^\.It Fl (. , Fl )?-([a-z-]+).*/--\2/p' "$1"; }
help_options() { sed -nE 's/^ *(-., ?)?(--[a-z-]+).*/\2/p'; }

"$lunkitd" --help | help_options >"$folder/a"
manual_options "$docs/lunkitd.8" >"$folder/b"
same "options of lunkitd" "$folder/a" "$folder/b"

# "COMMAND" and "COMMAND --OPTION" of each command that lunkit has, also within others such as "ublk add".
commands_below() { # commands_below [WORD]...
    local help inner command
    help=$("$lunkit" "$@" --help)
    inner=$(sed -nE '/^Subcommands:/,/^[^ ]*$/ s/^  ([a-z-]+) .*/\1/p' <<<"$help")
    for command in $inner; do commands_below "$@" "$command"; done
    [ -z "$inner" ] || return
    echo "$*"
    help_options <<<"$help" | grep -vx -e --help | sed "s/^/$* /"
}
commands_below >"$folder/commands"
grep -v -e ' --' "$folder/commands" >"$folder/a"
sed -nE 's/^\.It Ic ([a-z -]+[a-z]).*/\1/p' "$docs/lunkit.1" >"$folder/b"
same "commands of lunkit" "$folder/a" "$folder/b"
awk '/^\.Sh / { inside = / SYNOPSIS$/ }
     inside && /^\.Nm/ { command = "" }
     inside && /^\.Ic / { command = substr($0, 5); print command }
     inside && command && / -/ { gsub(/\|/, ""); for (i = 1; i <= NF; i++) if ($i ~ /^-[a-z-]+$/) print command " -" $i }' \
    "$docs/lunkit.1" >"$folder/b"
same "commands with their options in the synopsis of lunkit" "$folder/commands" "$folder/b"
{
    "$lunkit" --help | help_options
    grep -oE -- '--[a-z-]+$' "$folder/commands"
} >"$folder/a"
manual_options "$docs/lunkit.1" >"$folder/b"
same "options of lunkit" "$folder/a" "$folder/b"

# "group key values default" of the program, and of the manual.
"$lunkitd" --default-config |
    awk '/^\[/ { group = substr($0, 2, length($0) - 2) }
         /^# .*; (a reload applies it|takes a restart)\.$/ { values = $2; sub(/;$/, "", values); live = / reload / ? "live" : "restart" }
         /^#[a-z]/ { split(substr($0, 2), pair, "="); print group, pair[1], values, live }' >"$folder/a"
awk '/^\.Ss Group / { group = $3 }
     /^\.It Cm / { key = group " " $3; values = $0; sub(/.*= /, "", values); gsub(/(Ns|Ar|Op| )/, "", values); live[key] = "restart"; text[key] = values; order[++n] = key }
     /^live\.$/ { live[key] = "live" }
     END { for (i = 1; i <= n; i++) print order[i], text[order[i]], live[order[i]] }' "$docs/lunkitd.conf.5" |
    sed "s/\\([A-Z>]*\\);\\1\\.\\.\\./\\1[;\\1...]/" >"$folder/b"
same "keys of lunkitd.conf" "$folder/a" "$folder/b"
"$lunkitd" --default-config | sed -nE 's/^#([a-z_]+)=(.+)/\1 \2/p' >"$folder/a"
awk '/^\.It Cm / { key = $3 }
     /^(Default|\.Li) ?/ && key { if ($0 == "Default") { wanted = 1 } else if (wanted && /^\.Li/) { print key, $2; wanted = 0 } }
     /^\.Pa/ && wanted { print key, $2; wanted = 0 }' "$docs/lunkitd.conf.5" >"$folder/b"
same "defaults of lunkitd.conf" "$folder/a" "$folder/b"

# Groups and keys of declared devices.
sed -nE 's/^ *DeviceKey\{"([a-z-]+)", "([a-z_]+)".*/\1 \2/p' "$root/runner/control/device_files.cpp" >"$folder/a"
awk '/^\.Ss Group / { group = $3 } /^\.It Cm / { print group, $3 }' "$docs/lunkit-devices.5" >"$folder/b"
same "keys of declared devices" "$folder/a" "$folder/b"

# Methods and properties: "Method" and its arguments in order.
for interface in org.kernel.TCMUService1 org.lunkit.Manager1; do
    sed -nE 's/.*<(method|property) name="([A-Za-z]+)".*/\2/p' "$root/runner/control/$interface.xml"
done >"$folder/a"
sed -nE '/^\.Sh D-BUS/,/^\.Sh FILES/ s/^\.It Li ([A-Z][A-Za-z]+).*/\1/p' "$docs/lunkitd.8" >"$folder/b"
same "D-Bus methods and properties" "$folder/a" "$folder/b"
# With their arguments. A single result may stand without its name, "() -> as".
for interface in org.kernel.TCMUService1 org.lunkit.Manager1; do
    awk -F'"' '/<property / { print $2 " Pq Li " $4 }
        /<method / { name = $2; arguments = results = plain = "" }
        /<arg .*direction="in"/ { arguments = arguments (arguments ? ", " : "") $4 " " $2 }
        /<arg .*direction="out"/ { plain = plain (plain ? ", " : "") $4; results = results (results ? ", " : "") $4 " " $2 }
        /<\/method>/ { call = name "(" arguments ")"
                       if (!results) print call; else { print call " -> (" results ")"; print call " -> " plain } }' \
        "$root/runner/control/$interface.xml"
done >"$folder/a"
if sed -nE '/^\.Sh D-BUS/,/^\.Sh FILES/ s/^\.It Li ([A-Z].*)/\1/p' "$docs/lunkitd.8" | grep -vxFf "$folder/a"; then
    echo "(these D-Bus methods and properties have other arguments or types)"
    failed=1
fi
grep -rhoE 'org\.lunkit\.Error\.[A-Za-z]+' "$root/runner/control" --include='*.cpp' --include='*.hpp' >"$folder/a"
sed -nE '/^\.Sh D-BUS/,/^\.Sh FILES/p' "$docs/lunkitd.8" | grep -oE 'org\.lunkit\.Error\.[A-Za-z]+' >"$folder/b"
same "D-Bus errors" "$folder/a" "$folder/b"
# Keys of what ListDevices and ListHandlers return, as the program makes them.
sed -nE '/^\.Sh D-BUS/,/^\.Sh FILES/p' "$docs/lunkitd.8" | tr -c 'a-z_\n' '\n' >"$folder/words"
grep -oE '\.add\("[a-z_]+"' "$root/runner/control/lunkit_object.cpp" | cut -d'"' -f2 >"$folder/a"
[ -s "$folder/a" ] || { echo "no keys found in lunkit_object.cpp"; failed=1; }
while read -r key; do
    grep -qx -- "$key" "$folder/words" || { echo "lunkitd.8 does not name the key $key"; failed=1; }
done <"$folder/a"

# Keys of the qcow handler, as it explains and as it reads them.
sed -nE 's/^ *"  ([a-z_]+)=.*/\1/p' "$root/handlers/qcow/options.hpp" >"$folder/a"
sed -nE 's/^\.It Cm ([a-z_]+).*/\1/p' "$docs/lunkit-qcow.7" >"$folder/b"
same "keys of the qcow handler" "$folder/a" "$folder/b"
grep -oE 'keys\.[a-z]+\("[a-z_]+"' "$root/handlers/qcow/options.cpp" | cut -d'"' -f2 >"$folder/b"
same "keys that the qcow handler explains (<) and reads (>)" "$folder/a" "$folder/b"

# The same of the file handler.
grep -oE '\[;[a-z_]+=' "$root/handlers/file/file_options.hpp" | tr -d '[;=' >"$folder/a"
sed -nE 's/^\.It Cm ([a-z_]+).*/\1/p' "$docs/lunkit-file.7" >"$folder/b"
same "keys of the file handler" "$folder/a" "$folder/b"
grep -oE 'config\.[a-z]+\("[a-z_]+"' "$root/handlers/file/file_options.hpp" | cut -d'"' -f2 >"$folder/b"
same "keys that the file handler explains (<) and reads (>)" "$folder/a" "$folder/b"

# The same of the zbc handler.
grep -oE '\[;[a-z_]+=' "$root/handlers/zbc/zbc_options.hpp" | tr -d '[;=' >"$folder/a"
sed -nE 's/^\.It Cm ([a-z_]+).*/\1/p' "$docs/lunkit-zbc.7" >"$folder/b"
same "keys of the zbc handler" "$folder/a" "$folder/b"
grep -oE '(config\.[a-z]+\(|number\(config, )"[a-z_]+"' "$root/handlers/zbc/zbc_options.cpp" | cut -d'"' -f2 >"$folder/b"
same "keys that the zbc handler explains (<) and reads (>)" "$folder/a" "$folder/b"

# Keys of filters, as the program reads them.
sed -nE 's/^ *\{"([a-z.]+)",$/filter.\1/p' "$root/runner/filters/filter_config.cpp" >"$folder/a"
[ -s "$folder/a" ] || { echo "no keys found in filter_config.cpp"; failed=1; }
sed -nE 's/^\.It Cm (filter\.[a-z.]+).*/\1/p' "$docs/lunkit-filter.7" >"$folder/b"
same "keys of filters" "$folder/a" "$folder/b"

# Every handler has a page, or a part of one.
for handler in "$root"/handlers/*/; do
    name=$(basename "$handler")
    if ! grep -qxE "\\.Sq $name|\\.Ss The handler $name" "$docs"/*.7; then
        echo "no manual page describes the handler $name"
        failed=1
    fi
done

command -v mandoc >/dev/null || { echo "mandoc is not installed"; failed=1; }
for page in "$docs"/*.[1-8]; do
    lint=$(mandoc -T lint -W style "$page" 2>/dev/null | grep -v 'referenced manual not found')
    if [ -n "$lint" ]; then
        echo "$lint"
        failed=1
    fi
done
exit $failed
