#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The guide's examples build out of tree against the installed headers, by CMake, by pkg-config and,
# in Rust, by nothing at all; they serve, and keep their promises but for those that a RAM disk cannot.
# Usage: example_out_of_tree.sh EXAMPLES BUILD LOAD_HANDLER CXX LUNKIT
set -eu
[ $# -eq 5 ] || { echo "usage: $0 EXAMPLES BUILD LOAD_HANDLER CXX LUNKIT" >&2; exit 2; }
examples=$1 build=$2 load_handler=$3 cxx=$4 lunkit=$5
work=$(mktemp -d "$PWD/example-XXXXXX")
trap 'rm -rf "$work"' EXIT
umask 022

stage=$work/stage
DESTDIR=$stage cmake --install "$build" --prefix /opt/lunkit --component development >/dev/null
pkgconfig=$(dirname "$(find "$stage" -name lunkit.pc)")

echo "by CMake"
cmake -S "$examples" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$stage/opt/lunkit" -DCMAKE_CXX_COMPILER="$cxx" >/dev/null
cmake --build "$work/cmake" >/dev/null
cd "$work"    # where the files of the examples are made
for name in ramdisk plainfile cfile; do
    "$load_handler" "$work/cmake/handler_$name.so"
done

echo "by pkg-config"
export PKG_CONFIG_PATH=$pkgconfig PKG_CONFIG_SYSROOT_DIR=$stage
handlerdir=$(pkg-config --variable=handlerdir lunkit)
case $handlerdir in
*/lunkit) ;;
*) echo "handlerdir is '$handlerdir'" >&2; exit 1 ;;
esac
# The compiler's defaults for visibility: a plugin has to work with them, too.
# shellcheck disable=SC2046  # several words
"$cxx" -std=c++23 -O2 -Wall -Wextra -Werror -fPIC -shared -Wl,-z,defs $(pkg-config --cflags lunkit) \
    -o "$work/handler_ramdisk.so" "$examples/ramdisk.cpp"
"$load_handler" "$work/handler_ramdisk.so"

# shellcheck disable=SC2046
cc -std=c11 -O2 -Wall -Wextra -Werror -fPIC -shared -Wl,-z,defs $(pkg-config --cflags lunkit) \
    -o "$work/handler_cfile.so" "$examples/cfile.c"
"$load_handler" "$work/handler_cfile.so"

echo "in Rust"
rustc --edition 2021 -O -D warnings --crate-type cdylib -o "$work/handler_rustfile.so" "$examples/rustfile.rs"
"$load_handler" "$work/handler_rustfile.so"

echo "lunkit handler test"
for plugin in "$work"/cmake/handler_{plainfile,cfile}.so "$work/handler_rustfile.so"; do
    name=$(basename "$plugin" .so)
    "$lunkit" handler test --overwrite --plugin "$plugin" "${name#handler_}/$work/$name.img" >"$work/tap" || {
        echo "$name breaks a promise" >&2
        cat "$work/tap" >&2
        exit 1
    }
done
if "$lunkit" handler test --overwrite --plugin "$work/handler_ramdisk.so" ramdisk/x >"$work/tap"; then
    echo "it is said to keep every promise" >&2
    exit 1
fi
diff <(sed -n 's/^not ok [0-9]* //p' "$work/tap") - <<'EOF' || { cat "$work/tap" >&2; exit 1; }
refuses a key that it does not know
keeps its contents for a successor
keeps its contents when it is served read only
EOF
