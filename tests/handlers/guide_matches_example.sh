#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The code that docs/handlers.md shows is docs/examples/ramdisk.cpp, to the letter.
# Usage: guide_matches_example.sh DOCS
set -eu
docs=${1:?usage: guide_matches_example.sh DOCS}
# The block that begins with the file's first line, without the fences.
shown=$(awk -v first="$(head -n 1 "$docs/examples/ramdisk.cpp")" '
    /^```/ { if (inside) exit; fence = 1; next }
    fence { fence = 0; inside = ($0 == first) }
    inside { print }' "$docs/handlers.md")
diff -u --label "docs/handlers.md" --label "docs/examples/ramdisk.cpp" \
    <(printf '%s\n' "$shown") "$docs/examples/ramdisk.cpp"
