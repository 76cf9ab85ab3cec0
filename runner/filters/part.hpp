// SPDX-License-Identifier: Apache-2.0
// PartFilter: a part of the device below, as a device (filter.offset, filter.size).
//
// A part that has no size of its own reaches to the end and follows it; it may be resized within
// the device below, and beyond its end where that one can be. A part that has one stays so.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "filters/forwarding_device.hpp"
#include "lunkit/result.hpp"

namespace lunkit::filters {

struct PartOptions {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;  ///< 0: up to the end
};

/// Where the part ends. It is there before the device, as the device below may change while it is
/// being opened. Any thread.
class PartEnd {
  public:
    explicit PartEnd(const PartOptions& options) : options_(options) {}

    [[nodiscard]] std::uint64_t size() const { return size_.load(); }
    void set(std::uint64_t size, std::uint64_t below);
    /// The device below has another size. Gives the part's if that is another one now, else 0.
    std::uint64_t follow(std::uint64_t below);

  private:
    const PartOptions options_;
    std::mutex mutex_;
    std::uint64_t below_ = 0;
    std::atomic<std::uint64_t> size_{0};  // 0: not known yet
};

class PartFilter final : public ForwardingDevice {
  public:
    /// `wanted`: bytes; 0: as many as there are.
    static Result<std::unique_ptr<BlockDevice>> make(std::unique_ptr<BlockDevice> below,
                                                     const PartOptions& options,
                                                     std::uint32_t block_size, std::uint64_t wanted,
                                                     std::shared_ptr<PartEnd> end);

    [[nodiscard]] DeviceInfo info() const override;
    Task<Status> read(Queue& queue, const IoRequest& io) override;
    Task<Status> write(Queue& queue, const IoRequest& io) override;
    Task<Status> discard(Queue& queue, const IoRequest& io) override;
    Task<Status> write_zeroes(Queue& queue, const IoRequest& io) override;
    Task<Status> compare_and_write(Queue& queue, const IoRequest& io) override;
    Task<Status> or_write(Queue& queue, const IoRequest& io) override;
    Task<Result<std::uint32_t>> extents(Queue& queue, const IoRequest& io,
                                        std::span<Extent> extents) override;
    Task<Result<Space>> space(Queue& queue) override;
    Status resize(std::uint64_t size) override;

  private:
    PartFilter(std::unique_ptr<BlockDevice> below, const PartOptions& options,
               std::shared_ptr<PartEnd> end);
    using Work = Task<Status> (BlockDevice::*)(Queue&, const IoRequest&);
    Task<Status> shifted(Queue& queue, const IoRequest& io, Work work);

    const PartOptions options_;
    const std::shared_ptr<PartEnd> end_;
};

}  // namespace lunkit::filters
