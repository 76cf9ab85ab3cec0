#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The dependency direction, said a second time (the include paths say it first):
#   include <- scsi <- runner, include <- handlers; libraries only where they belong.
# Usage: tests/layers.sh [ROOT]   Prints every violation; exit 1 if there is one.
set -u
cd "${1:-$(dirname "$0")/..}" || exit 2
status=0

# allowed ROOM REGEX: every #include "..." of the room must match REGEX.
allowed() {
    local room=$1 regex=$2 found
    [ -d "$room" ] || return 0
    found=$(grep -rnE '^\s*#\s*include\s+"' "$room" --include='*.h' --include='*.hpp' --include='*.cpp' |
        grep -vE "\"($regex)")
    if [ -n "$found" ]; then
        printf '%s may include only (%s):\n%s\n' "$room" "$regex" "$found"
        status=1
    fi
}
# forbidden REGEX ROOM...: no include of a library outside its rooms.
library() {
    local regex=$1 found
    shift
    found=$(grep -rnE "^\s*#\s*include\s+[<\"]($regex)" include scsi handlers runner \
        --include='*.h' --include='*.hpp' --include='*.cpp')
    for room in "$@"; do
        found=$(grep -v "^$room/" <<<"$found")
    done
    if [ -n "$found" ]; then
        printf 'only %s may include %s:\n%s\n' "$*" "$regex" "$found"
        status=1
    fi
}

allowed include 'lunkit/'
allowed scsi 'lunkit/|scsi/'
for handler in handlers/*/; do
    # A handler sees its own folder's headers, named with or without the folder.
    allowed "${handler%/}" "lunkit/|$(basename "$handler")/|[a-z0-9_]+\.hpp\""
done
allowed runner/core 'lunkit/|core/'
allowed runner/filters 'lunkit/|core/|filters/'
allowed runner/host 'lunkit/|core/|filters/filter_(config|stack)\.hpp|host/'
allowed runner/tcmu 'lunkit/|core/|host/|scsi/|tcmu/'
allowed runner/ublk 'lunkit/|core/|host/|ublk/'
allowed runner/dm_user 'lunkit/|core/|host/|dm_user/'
allowed runner/dm_log 'lunkit/|core/|host/|dm_log/'
allowed runner/control 'lunkit/|core/|host/|control/|tcmu/tcmu_service\.hpp|ublk/(ublk_service|control_process)\.hpp|dm_user/dm_user_service\.hpp|dm_log/dm_log_service\.hpp|[a-z0-9_-]+-dbus\.h"'
allowed runner/cli 'lunkit/|scsi/|core/|host/|cli/'
library 'liburing' runner/core
library 'glib|gio/|glib-object' runner/control runner/cli
library 'netlink/|linux/genetlink' runner/tcmu
library 'linux/netlink' runner/tcmu runner/dm_log
library 'libkmod' runner/core
library 'nlohmann|CLI/' runner/cli
library 'systemd/' runner/control
library 'fmt/' runner scsi handlers

exit $status
