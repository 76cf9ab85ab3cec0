// SPDX-License-Identifier: Apache-2.0
// FilterStack: the filters of one device, from its configuration to the BlockDevice on top. Worker
// thread; what the functions give may be used on any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "filters/filter_config.hpp"
#include "filters/part.hpp"
#include "filters/surroundings.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/result.hpp"

namespace lunkit::filters {

class FilterStack {
  public:
    FilterStack(FilterConfig config, Surroundings world);

    /// How many bytes to ask the handler for, if the device is to have `wanted` (0: all).
    [[nodiscard]] std::uint64_t size_below(std::uint64_t wanted) const;
    /// What to call when the handler's storage changes its size, if `told` is to be called when the
    /// device does. Both may be empty.
    [[nodiscard]] std::function<void(std::uint64_t size)> size_changed(
        std::function<void(std::uint64_t size)> told) const;
    /// Blocks. `wanted`: as before. Without filters, `handler` itself.
    [[nodiscard]] Result<std::unique_ptr<BlockDevice>> put_in_front_of(
        std::unique_ptr<BlockDevice> handler, std::uint32_t block_size, std::uint64_t wanted) const;

  private:
    FilterConfig config_;
    Surroundings world_;
    std::shared_ptr<PartEnd> end_;  // null: all is served
};

}  // namespace lunkit::filters
