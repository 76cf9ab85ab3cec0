// SPDX-License-Identifier: Apache-2.0
// CharDevice: /dev/ublkcN, by which requests of the device N come in. Only one process has it open
// at a time, and the device cannot be removed while it is open or mapped. From the first mapping on
// the device belongs to the address space that has it: see map().
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
    /// Blocks: udev may have the node open for a moment.
    static Result<CharDevice> open(const std::string& path);

    [[nodiscard]] int fd() const { return fd_.get(); }
    /// Maps the descriptors of the only queue; `queue_depth`: as ADD_DEV gave it. When all its tags
    /// are fetched, and not before: of a server that dies between the two, Linux 6.12 remembers the
    /// address space, lets no other one map the device, and cannot recover it either.
    Status map(std::uint16_t queue_depth);
    /// By tag, once they are mapped. The kernel writes an entry before the tag's command completes,
    /// and not again before the request is committed.
    [[nodiscard]] std::span<const abi::IoDescriptor> descriptors() const;

  private:
    std::string path_;
    UniqueFd fd_;
    core::MemoryMapping map_;
    std::uint16_t queue_depth_ = 0;
};

}  // namespace lunkit::ublk
