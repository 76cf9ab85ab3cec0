# shellcheck shell=bash
# A guest kernel: Debian's packaged kernel of one series, its useful modules as an image, and a tiny initramfs.
#
# Sourced by build-guest. The packages are only downloaded and unpacked, never installed.

here_build=$(dirname "${BASH_SOURCE[0]}")

# newest_kernel SERIES: prints PACKAGE=VERSION of the newest image that a metapackage of the current apt state leads to.
newest_kernel() {
    local meta
    for meta in "linux-image-$1-amd64" linux-image-amd64; do
        apt-cache show "$meta" 2>/dev/null || :
    done | sed -n 's/^Depends:.*\(linux-image-[^ ]*-amd64\) (= \([^)]*\)).*/\1=\2/p' |
        { grep -E "^linux-image-${1//./\\.}[.-]" || :; } | sort -V | tail -n 1
}

# build_kernel DIR SERIES: writes DIR/{vmlinux,modules.img,initramfs,release}.
build_kernel() {
    local dir=$1 series=$2 package codename suite state
    package=$(newest_kernel "$series")
    if [ -z "$package" ]; then
        codename=$(debian_sources | awk '$1 == "Debian" { print $2 }' | sed 's/-.*//' | head -n 1)
        for suite in "Debian-Security $codename-security" "Debian $codename-backports" \
            "Debian-Security bookworm-security" "Debian bookworm-backports" "Debian bookworm"; do
            state=$dir/apt
            rm -rf "$state"
            # shellcheck disable=SC2086
            set -- $suite
            local line
            line=$(derive_source "$1" "$2")
            [ -n "$line" ] || continue
            say "no kernel $series in the configured suites, trying $2"
            private_apt "$state" "$line" || continue
            package=$(APT_CONFIG=$state/apt.conf newest_kernel "$series")
            [ -z "$package" ] || { export APT_CONFIG=$state/apt.conf; break; }
        done
    fi
    [ -n "$package" ] || die "no Debian kernel $series in the configured suites or their relatives"

    say "fetching ${package%%=*}"
    fetch_package "$package" "$dir/package"
    fetch_package busybox-static "$dir/busybox"
    unset APT_CONFIG
    local release=${package%%=*}
    release=${release#linux-image-}
    unpack_kernel "$dir/package/boot/vmlinuz-$release" "$dir/vmlinux"
    trim_modules "$dir/package/lib/modules/$release" "$release" "$dir/modules"
    make_initramfs "$dir" "$release"
    local kib
    kib=$(du -sk "$dir/modules/lib/modules" | cut -f1)
    mkfs.ext4 -q -O ^has_journal -m 0 -L modules -d "$dir/modules/lib/modules" "$dir/modules.img" $((kib + kib / 4 + 4096))k >/dev/null
    echo "$release" >"$dir/release"
    rm -rf "$dir/package" "$dir/busybox" "$dir/modules" "$dir/apt" "$dir/initramfs.d"
}

# unpack_kernel VMLINUZ VMLINUX: takes the ELF image out of a bzImage (payload_offset and payload_length of the x86 boot
# protocol). The machine starts it through its PVH entry; letting the emulated processor unpack it costs seconds.
unpack_kernel() {
    local setup_sectors payload_offset payload_length unpack magic
    setup_sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$1" | tr -d ' ')
    payload_offset=$(od -An -tu4 -j $((0x248)) -N 4 "$1" | tr -d ' ')
    payload_length=$(od -An -tu4 -j $((0x24c)) -N 4 "$1" | tr -d ' ')
    # The last four bytes are the unpacked size.
    tail -c +$(((setup_sectors + 1) * 512 + payload_offset + 1)) "$1" | head -c $((payload_length - 4)) >"$2.packed" || :
    magic=$(od -An -tx1 -N 4 "$2.packed" | tr -d ' ')
    case $magic in
    fd377a58) unpack=xz ;;
    28b52ffd) unpack=zstd ;;
    1f8b08*) unpack=gzip ;;
    *) die "do not know how the kernel $1 is packed" ;;
    esac
    need_tool $unpack
    $unpack -dc <"$2.packed" >"$2" || die "cannot unpack the kernel $1"
    rm "$2.packed"
}

# trim_modules FROM RELEASE TO: copies the modules of kernel-modules.list, and what they need, to TO/lib/modules/RELEASE.
trim_modules() {
    local from=$1 release=$2 to=$3 base pattern
    base=${from%/lib/modules/*}
    depmod -b "$base" "$release" || die "depmod failed"
    mkdir -p "$to/lib/modules/$release"
    cp "$from"/modules.{order,builtin,builtin.modinfo} "$to/lib/modules/$release/"
    (
        cd "$from" || exit 1
        shopt -s globstar nullglob
        while read -r pattern; do
            eval "printf '%s\n' kernel/$pattern.ko kernel/$pattern.ko.xz"
        done < <(grep -v -e '^#' -e '^$' "$here_build/kernel-modules.list") | sort -u | while read -r file; do
            [ -f "$file" ] && basename "$file" | sed 's/\.ko.*//'
        done | xargs -n 64 modprobe -d "$base" -S "$release" -a --show-depends 2>/dev/null |
            sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | sed "s|^$from/||" |
            tar -cf - -T - | tar -C "$to/lib/modules/$release" -xf -
    )
    find "$to" -name '*.ko.xz' -exec xz -d {} +
    depmod -b "$to" "$release" || die "depmod failed"
}

# make_initramfs DIR RELEASE: packs busybox, the modules that reach the root file system, and initramfs-init.
make_initramfs() {
    local dir=$1 tree=$1/initramfs.d module
    mkdir -p "$tree"/{bin,modules,root,proc,sys,dev}
    cp "$dir/busybox/bin/busybox" "$tree/bin/busybox"
    cp "$here_build/initramfs-init" "$tree/init"
    chmod 755 "$tree/init" "$tree/bin/busybox"
    modprobe -d "$dir/modules" -S "$2" -a --show-depends \
        virtio_pci virtio_blk ext4 9p 9pnet_virtio virtio_console virtio_rng |
        sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' >"$dir/needed"
    while read -r module; do
        cp "$module" "$tree/modules/"
        basename "$module" >>"$tree/modules/order"
    done <"$dir/needed"
    rm "$dir/needed"
    # Not compressed: unpacking costs an emulated processor more than reading does.
    (cd "$tree" && find . | cpio --quiet -o -H newc -R 0:0) >"$dir/initramfs"
}
