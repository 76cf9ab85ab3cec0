#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` stages is everything that a running system needs.
# Usage: tests/install_test.sh STAGE    (DESTDIR of an installation with --prefix /usr)
set -u
stage=${1:?usage: tests/install_test.sh STAGE}
status=0
# LIB is the folder of libraries: lib, lib64 or lib/<triplet>.
wanted=(
    usr/sbin/lunkitd
    usr/bin/lunkit
    LIB/lunkit/handler_file.so
    LIB/lunkit/handler_qcow.so
    LIB/lunkit/handler_ram.so
    LIB/lunkit/handler_zbc.so
    usr/include/lunkit/handler.h
    usr/include/lunkit/handler.hpp
    usr/share/pkgconfig/lunkit.pc
    LIB/cmake/lunkit/lunkitConfig.cmake
    usr/lib/systemd/system/lunkitd.service
    usr/lib/systemd/system/lunkit-metrics.socket
    usr/lib/systemd/system/lunkit-metrics@.service
    usr/share/dbus-1/system.d/org.lunkit.conf
    usr/share/dbus-1/system-services/org.kernel.TCMUService1.service
    etc/lunkit/lunkitd.conf
    etc/lunkit/devices.d/README
    usr/share/doc/lunkit/examples/mirror.sh
    usr/share/doc/lunkit-dev/handlers.md
    usr/share/doc/lunkit-dev/examples/CMakeLists.txt
    usr/share/doc/lunkit-dev/examples/cfile.c
    usr/share/doc/lunkit-dev/examples/plainfile.cpp
    usr/share/doc/lunkit-dev/examples/ramdisk.cpp
    usr/share/doc/lunkit-dev/examples/rustfile.rs
    usr/share/bash-completion/completions/lunkit
    usr/share/zsh/vendor-completions/_lunkit
    usr/share/fish/vendor_completions.d/lunkit.fish
)
source=$(cd "$(dirname "$0")/.." && pwd)
for example in "$source"/targetcli-examples/*; do
    wanted+=("usr/share/doc/lunkit/examples/${example##*/}")
done
for page in "$source"/docs/*.[1-8]; do
    wanted+=("usr/share/man/man${page##*.}/${page##*/}")
done
for tutorial in "$source"/docs/tutorials/*.md; do
    wanted+=("usr/share/doc/lunkit/tutorials/${tutorial##*/}")
done
handlers=$(cd "$stage" && find usr -name 'handler_*.so' | head -n 1)
lib=${handlers%/lunkit/*}
for file in "${wanted[@]}"; do
    if [ ! -f "$stage/${file/#LIB/${lib:-usr/lib}}" ]; then
        echo "missing: $file"
        status=1
    fi
done
# What texts refer to is installed beside them.
while IFS=: read -r text link; do
    if [ ! -e "$(dirname "$text")/$link" ]; then
        echo "${text#"$stage"/}: not installed: $link"
        status=1
    fi
done < <(grep -rHoE '\]\([^)#:]+' "$stage/usr/share/doc" --include='*.md' | grep -vE ':\]\([a-z]+$' | sed 's/:](/:/')
# Nothing else than these trees, and no trace of where it was built.
for top in "$stage"/*; do
    case ${top#"$stage"/} in
    usr | etc) ;;
    *) echo "unexpected: ${top#"$stage"}"; status=1 ;;
    esac
done
if grep -rIlF "$source" "$stage"; then
    echo "the files above name the build tree"
    status=1
fi
[ $status -eq 0 ] && echo "${#wanted[@]} files are where they belong"
exit $status
