// SPDX-License-Identifier: Apache-2.0
// QcowDevice: an image as a block device (see docs of the keys in options.hpp).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "lunkit/handler.hpp"
#include "qcow/disk.hpp"

namespace lunkit::qcow {

class QcowDevice final : public BlockDevice {
  public:
    static Result<std::unique_ptr<QcowDevice>> open(const OpenRequest& request);
    static Status check_config(const CheckRequest& request);
    static Result<Facts> inspect(const InspectRequest& request);

    [[nodiscard]] DeviceInfo info() const override;
    Task<Status> read(Queue& queue, const IoRequest& io) override;
    Task<Status> write(Queue& queue, const IoRequest& io) override;
    Task<Status> flush(Queue& queue) override;
    Task<Status> discard(Queue& queue, const IoRequest& io) override;
    Task<Status> write_zeroes(Queue& queue, const IoRequest& io) override;
    Task<Result<std::uint32_t>> extents(Queue& queue, const IoRequest& io,
                                        std::span<Extent> extents) override;
    /// Runs on the device's queue while this thread waits.
    Status resize(std::uint64_t size) override;
    /// From the next request on. Whoever switches it off then flushes, to make what was written
    /// before durable.
    Status set_write_cache(bool enabled) override;

  private:
    QcowDevice(const lunkit_host& host, std::unique_ptr<Disk> image, std::uint32_t block_size,
               bool may_shrink, std::uint64_t lun_size)
        : host_(host),
          image_(std::move(image)),
          block_size_(block_size),
          may_shrink_(may_shrink),
          lun_size_(image_->size() < lun_size ? lun_size : 0) {}
    Task<Status> grow_back(Queue& queue);
    Task<Status> change_size(Queue& queue, std::uint64_t size, bool shrinks);
    [[nodiscard]] bool durable(const IoRequest& io) const {
        return io.fua() || write_through_.load(std::memory_order_relaxed);
    }
    void seen(Queue& queue) { queue_.store(queue.handle(), std::memory_order_release); }

    const lunkit_host& host_;
    std::unique_ptr<Disk> image_;
    const std::uint32_t block_size_;
    const bool may_shrink_;
    /// Of a LUN that is larger than the image it was taken over with: the first request makes the
    /// image as large, with zeros behind its end. 0: there is nothing to do.
    std::atomic<std::uint64_t> lun_size_;
    std::atomic<bool> write_through_{false};
    std::atomic<lunkit_queue*> queue_{nullptr};  // where requests come from; for resize
};

}  // namespace lunkit::qcow
