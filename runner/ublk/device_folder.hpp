// SPDX-License-Identifier: Apache-2.0
// DeviceFolder: what the next daemon has to know of the devices that this one serves, one file per
// device: <run_dir>/ublk/<identity>.device. A file is there before the kernel's device is made, and
// until it has been removed; so no device of ours is ever without one, whenever the daemon dies.
//
// A file says what was asked for and not which number the kernel gave: the kernel keeps the
// identity with its device (ublksrv_flags), and so tells which device the file is of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/record_folder.hpp"
#include "lunkit/result.hpp"

namespace lunkit::ublk {

struct DeviceRecord {
    std::uint64_t identity = 0;  ///< random; never 0, which devices of others mostly have
    std::string config;          ///< "<handler>/<rest>"
    std::uint64_t size = 0;      ///< bytes that the kernel's device has
    std::uint32_t block_size = 0;
    bool read_only = false;
    bool operator==(const DeviceRecord&) const = default;
};

/// Any thread; of one device one at a time.
class DeviceFolder {
  public:
    /// Makes <run_dir>/ublk where it is missing. An error: it belongs to somebody else, is a link,
    /// ...
    static Result<DeviceFolder> open(const std::string& run_dir);

    /// Replaces what was there.
    [[nodiscard]] Status write(const DeviceRecord& record) const;
    /// The records that make sense; others are logged and left alone.
    [[nodiscard]] std::vector<DeviceRecord> read_all() const;
    /// A mark beside the record that outlives the process: the tags of several hardware queues are
    /// being fetched for a recovery.
    [[nodiscard]] Status mark_fetching(std::uint64_t identity) const;
    [[nodiscard]] bool is_fetching(std::uint64_t identity) const;
    void unmark_fetching(std::uint64_t identity) const;
    /// The record, and its mark. They need not be there.
    void remove(std::uint64_t identity) const;

  private:
    core::RecordFolder records_;
};

/// For a new device.
[[nodiscard]] Result<std::uint64_t> new_identity();

}  // namespace lunkit::ublk
