#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The Debian packages hold what `cmake --install` installs, each file once, and say the right things of themselves.
# Usage: tests/packages_test.sh PACKAGES STAGE    (STAGE: DESTDIR of an installation with --prefix /usr)
set -u
packages=${1:?usage: tests/packages_test.sh PACKAGES STAGE} stage=${2:?usage: tests/packages_test.sh PACKAGES STAGE}
source=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0 checks=0
# expect WHAT COMMAND...: the command must succeed.
expect() {
    checks=$((checks + 1))
    "${@:2}" >"$work/said" 2>&1 && return
    echo "not so: $1"
    head -n 20 "$work/said"
    status=1
}
field() { dpkg-deb --field "$work/$1.deb" "$2"; }
says() { grep -qE -e "$3" <<<"$(field "$1" "$2")" || { field "$1" "$2"; return 1; }; }
says_nothing() { [ -z "$(field "$1" "$2")" ] || { field "$1" "$2"; return 1; }; }
holds() { [ -f "$work/$1/$2" ]; }
files_below() { (cd "$1" && find . -path ./DEBIAN -prune -o ! -type d -print | sort); }

names=(lunkit lunkit-dev lunkit-handlers-qcow)
version=$(sed -nE 's/^project\(lunkit VERSION ([^ ]+).*/\1/p' "$source/CMakeLists.txt")
expect "three packages" [ "$(find "$packages" -maxdepth 1 -name '*.deb' | wc -l)" = ${#names[@]} ]
for name in "${names[@]}"; do
    if ! ln -s "$(realpath "$packages")/${name}_${version}"_*.deb "$work/$name.deb" || ! dpkg-deb -R "$work/$name.deb" "$work/$name"; then
        echo "no package $name $version"
        exit 1
    fi
done

# What they say of themselves.
for name in "${names[@]}"; do
    expect "$name: its name" says "$name" Package "^$name\$"
    expect "$name: its version" says "$name" Version "^$version\$"
    expect "$name: the version in its changelog" grep -qF "($version)" \
        <(zcat "$work/$name/usr/share/doc/$name/changelog.gz" | head -n 1)
    expect "$name: a copyright" holds "$name" "usr/share/doc/$name/copyright"
    expect "$name: its checksums" sh -c "cd '$work/$name' && md5sum --quiet --check DEBIAN/md5sums"
    expect "$name: checksums of all files" [ "$(wc -l <"$work/$name/DEBIAN/md5sums")" = "$(files_below "$work/$name" | wc -l)" ]
    expect "$name: files of root, no other's to write to" sh -c "! dpkg-deb --contents '$work/$name.deb' | grep -vE '^[-d]rw[-x]r-[-x]r-[-x] root/root '"
    for script in "$work/$name"/DEBIAN/{postinst,prerm,postrm}; do
        [ -e "$script" ] || continue
        expect "$name: ${script##*/} can run" [ -x "$script" ]
        expect "$name: ${script##*/} is a script" sh -n "$script"
    done
done
for library in libc6 libnl-genl-3-200 libkmod2 libglib2.0-0 libsystemd0; do
    expect "lunkit depends on $library" says lunkit Depends "(^|[ ,])$library( |,|\$)"
done
expect "lunkit: no library of qcow" sh -c "! dpkg-deb --field '$work/lunkit.deb' Depends | grep -E 'zstd|zlib'"
expect "qcow depends on its libraries" says lunkit-handlers-qcow Depends 'libgcrypt20.*libzstd1.*zlib1g'
expect "qcow depends on the daemon" says lunkit-handlers-qcow Depends "(^|, )lunkit \\(>= $version\\)"
expect "lunkit-dev depends on nothing" says_nothing lunkit-dev Depends
expect "lunkit conflicts with tcmu-runner" says lunkit Conflicts '^tcmu-runner$'
expect "lunkit replaces tcmu-runner" says lunkit Replaces '^tcmu-runner$'
expect "the settings are the administrator's" diff <(cd "$work/lunkit" && find etc -type f -printf '/%p\n' | sort) "$work/lunkit/DEBIAN/conffiles"

# What they hold.
for name in "${names[@]}"; do
    files_below "$work/$name" | grep -vE "^\./usr/share/doc/$name/(copyright|changelog\.gz)\$" | sed 's/\(\/man[0-9]\/.*\)\.gz$/\1/'
done | sort >"$work/files"
files_below "$stage" >"$work/installed"
expect "together what an installation has, each file once" diff "$work/installed" "$work/files"
expect "lunkit: the daemon" holds lunkit usr/sbin/lunkitd
expect "lunkit: its unit" holds lunkit usr/lib/systemd/system/lunkitd.service
expect "the unit starts it from where it is" grep -qx 'ExecStart=/usr/sbin/lunkitd' "$work/lunkit/usr/lib/systemd/system/lunkitd.service"
expect "qcow: the handler" grep -q '/lunkit/handler_qcow\.so$' <(files_below "$work/lunkit-handlers-qcow")
expect "qcow: its manual page" holds lunkit-handlers-qcow usr/share/man/man7/lunkit-qcow.7.gz
expect "lunkit-dev: the header" holds lunkit-dev usr/include/lunkit/handler.h
expect "lunkit-dev: the guide" holds lunkit-dev usr/share/doc/lunkit-dev/handlers.md
expect "lunkit-dev: its manual page" holds lunkit-dev usr/share/man/man3/lunkit-handler.3.gz
expect "lunkit: tutorials" holds lunkit usr/share/doc/lunkit/tutorials/README.md
expect "lunkit: examples that can run" [ -x "$work/lunkit/usr/share/doc/lunkit/examples/file-iscsi.sh" ]
expect "lunkit-dev: for pkg-config" grep -qx 'prefix=/usr' "$work/lunkit-dev/usr/share/pkgconfig/lunkit.pc"
expect "no trace of where they were built" sh -c "! grep -rIlF '$source' '$work'/lunkit*/"
while read -r program; do
    expect "stripped: ${program##*/}" sh -c "! readelf --section-headers --wide '$program' | grep -F .debug_info"
done < <(find "$work" -path '*/DEBIAN' -prune -o -type f \( -name 'lunkit' -o -name 'lunkitd' -o -name '*.so' \) -print)

if command -v lintian >/dev/null; then
    expect "lintian has nothing to say" lintian --allow-root --fail-on error,warning "$packages"/*.deb
else
    echo "lintian is not installed: left out"
fi
[ $status -eq 0 ] && echo "${#names[@]} packages are in order ($checks checks)"
exit $status
