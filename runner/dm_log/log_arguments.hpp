// SPDX-License-Identifier: Apache-2.0
// LogArguments: what a table line says of a log,
//   mirror userspace <#args> <uuid> [integrated_flush] core <region size> [sync|nosync]
//   [block_on_error] mirror userspace <#args> <uuid> [integrated_flush] disk <path> <region size>
//   [...]
// as DM_ULOG_CTR passes it on: "<device sectors> core <region size> ...". The kernel keeps the uuid
// and integrated_flush to itself, and checks nothing of the rest: wrong sizes would be mapped to
// wrong regions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lunkit/result.hpp"

namespace lunkit::dm_log {

/// Where a log is kept beside the memory that outlives the daemon.
enum class LogKind : std::uint8_t {
    kCore,  ///< nowhere: after a reboot all regions are copied
    kDisk,  ///< in a file or on a block device, in the form of the kernel's own disk log
};

/// In which state regions begin of which nothing is known.
enum class Start : std::uint8_t {
    kDefault,  ///< what was known before goes on; else out of sync
    kSync,     ///< out of sync, whatever was known
    kNosync,   ///< as a running log says; else in sync: the legs are equal, or shall count so
};

struct LogArguments {
    LogKind kind = LogKind::kCore;
    std::string path;                  ///< kDisk
    std::uint64_t device_sectors = 0;  ///< length of the mirror, in 512 bytes
    std::uint64_t region_size = 0;     ///< sectors of 512 bytes: a power of two
    Start start = Start::kDefault;
    bool block_on_error = false;  ///< a log that cannot be stored is tried again, writes wait

    [[nodiscard]] std::uint64_t regions() const {
        return device_sectors / region_size + (device_sectors % region_size != 0 ? 1 : 0);
    }
};

/// More than any mirror needs; 16 MiB for a bitmap.
inline constexpr std::uint64_t kMaxRegions = std::uint64_t{1} << 27U;

/// `text` without a NUL. EINVAL, with a sentence for the operator.
[[nodiscard]] Result<LogArguments> parse_log_arguments(std::string_view text);

}  // namespace lunkit::dm_log
