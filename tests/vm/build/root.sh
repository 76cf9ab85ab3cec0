# shellcheck shell=bash
# The guest's root file system: a minimal Debian with the packages of guest-packages.list, as an ext4 image.
#
# Sourced by build-guest. Nothing in the image depends on lunkit: what the guest does at boot (guest/init) and the
# staged build come in at run time, so that changing them needs no new image.

# build_root DIR PACKAGE...: writes DIR/root.img.
build_root() {
    local dir=$1 fakeroot='' options=()
    shift
    if [ "$(id -u)" != 0 ]; then
        need_tool fakeroot
        fakeroot=fakeroot
    fi
    local option value
    for option in Acquire::http::Proxy Acquire::https::Proxy; do
        value=$(apt-config dump --format '%v' "$option")
        [ -z "$value" ] || options+=("--aptopt=$option \"$value\"")
    done
    for option in doc info locale lintian man; do
        options+=("--dpkgopt=path-exclude=/usr/share/$option/*")
    done
    one_line_sources >"$dir/sources.list"

    # The hook goes as text: where mmdebstrap makes a user name space its root cannot enter our home.
    say "making the guest's user land (a minute or two)"
    mmdebstrap --quiet --variant=minbase --format=tar "${options[@]}" \
        --include="$(IFS=,; printf '%s' "$*")" \
        --customize-hook="$(cat "$(dirname "${BASH_SOURCE[0]}")/root-finish")" \
        '' "$dir/root.tar" "$dir/sources.list" >&2 || die "mmdebstrap failed"

    # mkfs.ext4 -d keeps owners and set-uid bits; under fakeroot it sees those that tar pretended to set.
    local kib=$(($(stat -c %s "$dir/root.tar") / 1024))
    # shellcheck disable=SC2016
    $fakeroot sh -ec '
        mkdir "$1/root"
        tar -C "$1/root" -xpf "$1/root.tar"
        rm -rf "$1/root/dev" && mkdir "$1/root/dev"
        mkfs.ext4 -q -O ^has_journal -m 0 -L root -d "$1/root" "$1/root.img" "$2k" >/dev/null
        rm -rf "$1/root"
    ' sh "$dir" $((kib + kib / 4 + 1024 * 1024)) || die "cannot make the root image"
    rm -f "$dir/root.tar" "$dir/sources.list"
}
