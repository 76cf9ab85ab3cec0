#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` stages is everything that a running system needs.
# Usage: tests/install_test.sh STAGE    (DESTDIR of an installation with --prefix /usr)
set -u
stage=${1:?usage: tests/install_test.sh STAGE}
status=0
wanted=(
    usr/sbin/lunkitd
    usr/bin/lunkit
    'usr/lib/*/lunkit/handler_file.so'
    'usr/lib/*/lunkit/handler_ram.so'
    usr/include/lunkit/handler.h
    usr/include/lunkit/handler.hpp
    'usr/lib/*/pkgconfig/lunkit.pc'
    'usr/lib/*/cmake/lunkit/lunkitConfig.cmake'
    usr/lib/systemd/system/lunkitd.service
    'usr/share/dbus-1/system.d/*.conf'
    usr/share/dbus-1/system-services/org.kernel.TCMUService1.service
    etc/lunkit/lunkitd.conf
    usr/share/man/man8/lunkitd.8
    usr/share/man/man1/lunkit.1
    usr/share/man/man5/lunkitd.conf.5
)
for pattern in "${wanted[@]}"; do
    # shellcheck disable=SC2086  # the pattern is to be expanded
    if ! ls -d "$stage"/$pattern >/dev/null 2>&1; then
        echo "missing: $pattern"
        status=1
    fi
done
# Nothing else than these trees, and no trace of where it was built.
for top in "$stage"/*; do
    case ${top#"$stage"/} in
    usr | etc) ;;
    *) echo "unexpected: ${top#"$stage"}"; status=1 ;;
    esac
done
if grep -rlF "$(dirname "$stage")" "$stage"/etc "$stage"/usr/lib/*/pkgconfig "$stage"/usr/lib/*/cmake "$stage"/usr/share; then
    echo "the files above name the build tree"
    status=1
fi
[ $status -eq 0 ] && echo "${#wanted[@]} files are where they belong"
exit $status
