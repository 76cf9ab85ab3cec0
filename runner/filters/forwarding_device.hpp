// SPDX-License-Identifier: Apache-2.0
// ForwardingDevice: a BlockDevice that is in every respect as the one below it; a filter overrides
// what it changes. A request that is only forwarded costs a call, and no coroutine.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "lunkit/block_device.hpp"

namespace lunkit::filters {

class ForwardingDevice : public BlockDevice {
  public:
    explicit ForwardingDevice(std::unique_ptr<BlockDevice> below) : below_(std::move(below)) {}

    [[nodiscard]] DeviceInfo info() const override { return below_->info(); }
    Task<Status> read(Queue& queue, const IoRequest& io) override {
        return below_->read(queue, io);
    }
    Task<Status> write(Queue& queue, const IoRequest& io) override {
        return below_->write(queue, io);
    }
    Task<Status> flush(Queue& queue) override { return below_->flush(queue); }
    Task<Status> discard(Queue& queue, const IoRequest& io) override {
        return below_->discard(queue, io);
    }
    Task<Status> write_zeroes(Queue& queue, const IoRequest& io) override {
        return below_->write_zeroes(queue, io);
    }
    Task<Status> compare_and_write(Queue& queue, const IoRequest& io) override {
        return below_->compare_and_write(queue, io);
    }
    Task<Status> or_write(Queue& queue, const IoRequest& io) override {
        return below_->or_write(queue, io);
    }
    Task<Result<std::uint32_t>> extents(Queue& queue, const IoRequest& io,
                                        std::span<Extent> extents) override {
        return below_->extents(queue, io, extents);
    }
    Task<Result<std::uint32_t>> report_zones(Queue& queue, const IoRequest& io,
                                             std::span<Zone> zones) override {
        return below_->report_zones(queue, io, zones);
    }
    Task<Status> manage_zones(Queue& queue, ZoneAction action, const IoRequest& io) override {
        return below_->manage_zones(queue, action, io);
    }
    Task<Result<Space>> space(Queue& queue) override { return below_->space(queue); }
    Status resize(std::uint64_t size) override { return below_->resize(size); }
    Status set_write_cache(bool enabled) override { return below_->set_write_cache(enabled); }

  protected:
    [[nodiscard]] BlockDevice& below() { return *below_; }
    [[nodiscard]] const BlockDevice& below() const { return *below_; }

  private:
    std::unique_ptr<BlockDevice> below_;
};

}  // namespace lunkit::filters
