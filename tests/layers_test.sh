#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# layers.sh must see each kind of violation: plants one at a time in a copy.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
plant() {
    local room=$1 line=$2
    rm -rf "${copy:?}"/*
    mkdir -p "$copy"/{include/lunkit,scsi,handlers/file,runner/{core,host,tcmu,control,cli}}
    "$here/layers.sh" "$copy" >/dev/null
    printf '%s\n' "$line" >"$copy/$room/planted.hpp"
    if "$here/layers.sh" "$copy" >/dev/null; then
        echo "layers.sh did not see $line in $room"
        exit 1
    fi
}
plant scsi '#include "core/log.hpp"'
plant scsi '#include <liburing.h>'
plant handlers/file '#include "host/local_file.hpp"'
plant handlers/file '#include "scsi/sense.hpp"'
plant runner/core '#include "tcmu/ring.hpp"'
plant runner/host '#include "tcmu/ring.hpp"'
plant runner/tcmu '#include <glib.h>'
plant runner/control '#include <netlink/netlink.h>'
plant include/lunkit '#include "scsi/sense.hpp"'
