# shellcheck shell=bash
# Debian packages for the guest: where they come from, and how to fetch one without installing it.
#
# Sourced by build-guest. The host's configured Debian sources are the only source of addresses; a suite that is not
# configured is derived from one that is. The host's apt configuration and state are never changed, except that root runs
# `apt-get update` once where no package lists are there at all. `die` and `say` come from the caller.

# debian_sources: prints one line per configured Debian suite: LABEL CODENAME URI RELEASE COMPONENT
# (third-party archives are left out: the guest is plain Debian).
debian_sources() {
    apt-get indextargets --format '$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' |
        awk -F'|' '$1 == "Packages" && $2 == "Debian" { print $3, $4, $5, $6, $7 }' | sort -u
}

# need_package_lists: makes sure that apt knows packages, or ends with a message.
need_package_lists() {
    command -v apt-get >/dev/null || die "no apt-get here: the guest is built from Debian packages"
    [ -n "$(debian_sources)" ] && [ -n "$(apt-cache show --no-all-versions dbus 2>/dev/null)" ] && return
    [ "$(id -u)" = 0 ] || die "apt has no package lists: run 'apt-get update' as root"
    say "apt has no package lists: running apt-get update"
    apt-get -qq update >&2 || die "apt-get update failed"
    [ -n "$(debian_sources)" ] || die "no Debian archive among the configured apt sources"
}

# one_line_sources: prints the configured Debian suites in sources.list form.
one_line_sources() {
    debian_sources | while read -r _ _ uri release component; do
        printf 'deb %s %s %s\n' "$uri" "$release" "$component"
    done
}

# derive_source LABEL RELEASE: prints a source line for a suite that is not configured, at the address of one that is.
# LABEL is Debian or Debian-Security.
derive_source() {
    debian_sources | while read -r label _ uri _ component; do
        if [ "$label" = "$1" ] && [ "$component" = main ]; then printf 'deb %s %s main\n' "$uri" "$2"; fi
    done | sort -u | head -n 1
}

# private_apt DIR SOURCE-LINE: prepares DIR as an apt state of its own that knows only that source, and fills it.
# Use it with APT_CONFIG=DIR/apt.conf.
private_apt() {
    local dir=$1
    mkdir -p "$dir"/{lists/partial,cache/archives/partial}
    printf '%s\n' "$2" >"$dir/sources.list"
    : >"$dir/status"
    cat >"$dir/apt.conf" <<EOC
Dir::Etc::SourceList "$dir/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "$dir/lists";
Dir::State::Status "$dir/status";
Dir::Cache "$dir/cache";
APT::Sandbox::User "";
EOC
    APT_CONFIG=$dir/apt.conf apt-get -qq update >&2
}

# fetch_package NAME[=VERSION] DIR: downloads the .deb and unpacks it into DIR. Nothing is installed.
fetch_package() {
    local work
    work=$(mktemp -d "$2.deb.XXXXXX")
    (cd "$work" && apt-get -qq -o APT::Sandbox::User= download "$1" >&2) || die "cannot download $1"
    mkdir -p "$2"
    dpkg-deb -x "$work"/*.deb "$2" || die "cannot unpack $1"
    rm -rf "$work"
}
