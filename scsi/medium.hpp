// SPDX-License-Identifier: Apache-2.0
// Medium: the unit's device as its commands see it. Every request that changes blocks passes here,
// whatever command it is of, so that what depends on nobody else changing them has one place to
// say so: a copy whose source and destination overlap holds its blocks alone (Exclusion), and the
// ROD tokens that stand for the blocks are cancelled before they change.
#pragma once

#include <cstdint>
#include <span>

#include "lunkit/block_device.hpp"
#include "lunkit/exclusion.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "scsi/rod_token.hpp"

namespace lunkit::scsi {

class Medium final : public BlockDevice {
  public:
    /// Both outlive the medium.
    Medium(BlockDevice& device, RodTokens& tokens) : device_(device), tokens_(tokens) {}

    [[nodiscard]] DeviceInfo info() const override { return device_.info(); }
    Task<Status> read(Queue& queue, const IoRequest& io) override {
        return device_.read(queue, io);
    }
    Task<Status> flush(Queue& queue) override { return device_.flush(queue); }
    Task<Result<std::uint32_t>> extents(Queue& queue, const IoRequest& io,
                                        std::span<Extent> extents) override {
        return device_.extents(queue, io, extents);
    }
    Task<Result<Space>> space(Queue& queue) override { return device_.space(queue); }
    Task<Result<std::uint32_t>> report_zones(Queue& queue, const IoRequest& io,
                                             std::span<Zone> zones) override {
        return device_.report_zones(queue, io, zones);
    }
    Task<Status> manage_zones(Queue& queue, ZoneAction action, const IoRequest& io) override {
        return device_.manage_zones(queue, action, io);
    }
    /// Bytes that requests have changed, discarding left out: what may have taken space.
    [[nodiscard]] std::uint64_t written() const { return written_; }
    Task<Status> write(Queue& queue, const IoRequest& io) override;
    Task<Status> discard(Queue& queue, const IoRequest& io) override;
    Task<Status> write_zeroes(Queue& queue, const IoRequest& io) override;
    Task<Status> compare_and_write(Queue& queue, const IoRequest& io) override;
    Task<Status> or_write(Queue& queue, const IoRequest& io) override;

    /// What write() does before the device's, for who has a frame of its own to do it in:
    ///   Medium::Change change(medium, io.range());
    ///   if (!change.entered()) { (void)co_await change.acquire(queue); }
    ///   ... co_await medium.write_held(queue, io);
    class Change : public Exclusion::Shared {
      public:
        Change(Medium& medium, ByteRange range) : Shared(medium.exclusion_, range) {}
    };
    /// Blocks that nobody else changes, from acquire() until it goes. Who holds one waits for no
    /// other.
    class Hold {
      public:
        Hold(Medium& medium, ByteRange range) : alone_(medium.exclusion_, range) {}
        Task<void> acquire(Queue& queue);

      private:
        Exclusion::Exclusive alone_;
    };
    /// A write by whoever has a Change, or holds the range.
    Task<Status> write_held(Queue& queue, const IoRequest& io) {
        tokens_.change(io.range());
        written_ += io.length;
        return device_.write(queue, io);
    }

  private:
    using Request = Task<Status> (BlockDevice::*)(Queue&, const IoRequest&);
    Task<Status> change(Queue& queue, const IoRequest& io, Request request);
    Task<Status> fill(Queue& queue, const IoRequest& io, Request request);  // counted in written()

    BlockDevice& device_;
    RodTokens& tokens_;
    Exclusion exclusion_;
    std::uint64_t written_ = 0;
};

}  // namespace lunkit::scsi
