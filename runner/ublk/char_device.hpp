// SPDX-License-Identifier: Apache-2.0
// CharDevice: /dev/ublkcN, by which requests of the device N come in. Only one process has it open
// at a time, and the device cannot be removed while it is open or mapped. From the first mapping on
// the device belongs to the address space that has it: see map().
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "core/memory_mapping.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"
#include "ublk/abi.hpp"

namespace lunkit::ublk {

/// The request descriptors of one hardware queue. The kernel writes an entry before the command of
/// its tag completes, and not again before the request is committed.
class DescriptorMap {
  public:
    DescriptorMap() = default;
    explicit DescriptorMap(core::MemoryMapping map) : map_(std::move(map)) {}
    [[nodiscard]] const abi::IoDescriptor& of(std::uint16_t tag) const {
        return reinterpret_cast<const abi::IoDescriptor*>(map_.bytes().data())[tag];
    }

  private:
    core::MemoryMapping map_;
};

class CharDevice {
  public:
    /// Blocks: udev may have the node open for a moment.
    static Result<CharDevice> open(const std::string& path);

    [[nodiscard]] int fd() const { return fd_.get(); }
    /// Maps the descriptors of a hardware queue; `queue_depth`: as ADD_DEV gave it. When all tags
    /// of all queues are fetched, and not before: of a server that dies between the two, Linux 6.12
    /// remembers the address space, lets no other one map the device, and cannot recover it either.
    [[nodiscard]] Result<DescriptorMap> map(std::uint16_t queue, std::uint16_t queue_depth) const;

  private:
    std::string path_;
    UniqueFd fd_;
};

}  // namespace lunkit::ublk
