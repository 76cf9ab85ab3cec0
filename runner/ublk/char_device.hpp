// SPDX-License-Identifier: Apache-2.0
// CharDevice: /dev/ublkcN, by which requests of the device N come in. Only one process has it open
// at a time, and the device cannot be removed while it is open or mapped.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/memory_mapping.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"
#include "ublk/abi.hpp"

namespace lunkit::ublk {

class CharDevice {
  public:
    /// Blocks: udev may have the node open for a moment. `queue_depth`: as ADD_DEV gave it.
    static Result<CharDevice> open(const std::string& path, std::uint16_t queue_depth);

    [[nodiscard]] int fd() const { return fd_.get(); }
    /// By tag. The kernel writes an entry before the tag's command completes, and not again before
    /// the request is committed.
    [[nodiscard]] std::span<const abi::IoDescriptor> descriptors() const;

  private:
    UniqueFd fd_;
    core::MemoryMapping map_;
    std::uint16_t queue_depth_ = 0;
};

}  // namespace lunkit::ublk
