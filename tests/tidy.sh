#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over every source of a build tree with compile_commands.json.
# Usage: tests/tidy.sh BUILD_DIR
# A file whose content, flags and headers have not changed since it was clean is not read again (BUILD_DIR/tidy).
set -u
build=${1:?usage: tests/tidy.sh BUILD_DIR}
build=$(cd "$build" && pwd) || exit 2
cd "$(dirname "$0")/.." || exit 2
mkdir -p "$build/tidy"
# Headers and the rules are part of every file's key.
shared=$(git ls-files -co --exclude-standard '*.h' '*.hpp' .clang-tidy | sort | xargs sha256sum | sha256sum)

tidy_one() {
    local file=$1 key
    key=$( (echo "$shared"; cat "$file") | sha256sum | cut -c1-32)
    local mark=$build/tidy/$key
    [ -e "$mark" ] && return 0
    if clang-tidy-19 --quiet -p "$build" "$file" 2>/dev/null; then
        : >"$mark"
    else
        return 1
    fi
}
export -f tidy_one
export build shared
jq -r '.[].file' "$build/compile_commands.json" | sort -u | grep "^$PWD/" | grep -v "^$build/" |
    xargs -P "$(nproc)" -I{} bash -c 'tidy_one "$1"' _ {}
