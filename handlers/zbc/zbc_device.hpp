// SPDX-License-Identifier: Apache-2.0
// ZbcDevice: a file as a host managed zoned block device (ZBC-2). Reads are unrestricted: behind a
// write pointer there are zeros.
//
// Writes of one sequential zone run one after the other, in the order of their calls, and what
// manages zones waits for them: each request finds the write pointer that the one before has left.
// A request that is repeated after a take-over tells by its `progress` what a predecessor has made
// of it, because the write pointer alone does not.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "lunkit/handler.hpp"
#include "lunkit/range_lock.hpp"
#include "open_zones.hpp"
#include "zbc_options.hpp"
#include "zone_table.hpp"

namespace lunkit::zbc {

class ZbcDevice final : public BlockDevice {
  public:
    static Result<std::unique_ptr<ZbcDevice>> open(const OpenRequest& request);
    static Status check_config(const CheckRequest& request);
    ZbcDevice(const ZbcDevice&) = delete;
    ZbcDevice& operator=(const ZbcDevice&) = delete;
    ZbcDevice(ZbcDevice&&) = delete;
    ZbcDevice& operator=(ZbcDevice&&) = delete;
    ~ZbcDevice() override;

    [[nodiscard]] DeviceInfo info() const override;
    Task<Status> read(Queue& queue, const IoRequest& io) override;
    Task<Status> write(Queue& queue, const IoRequest& io) override;
    Task<Status> write_zeroes(Queue& queue, const IoRequest& io) override;
    Task<Status> flush(Queue& queue) override;
    Task<Result<std::uint32_t>> report_zones(Queue& queue, const IoRequest& io,
                                             std::span<Zone> zones) override;
    Task<Status> manage_zones(Queue& queue, ZoneAction action, const IoRequest& io) override;

  private:
    /// How the bytes of a change reach the file.
    enum class Deed : std::uint8_t { kWrite, kZero };
    /// Zones [first, end); `all`: those that ZBC-2 says of all there are.
    struct Zones {
        std::uint64_t first;
        std::uint64_t end;
        bool all;
    };
    /// A run of blocks that are written, or that are not.
    struct Piece {
        std::uint64_t length;
        bool is_written;
    };

    ZbcDevice(const OpenRequest& request, File file, const lunkit_file_info& info,
              const Geometry& geometry);

    /// A device of a file in which there is nothing yet.
    static Result<std::unique_ptr<ZbcDevice>> make(const OpenRequest& request,
                                                   const ZbcOptions& options, File file,
                                                   const lunkit_file_info& info,
                                                   const Geometry& geometry);
    static Result<std::unique_ptr<ZbcDevice>> open_zones_of(const OpenRequest& request,
                                                            const ZbcOptions& options, File file,
                                                            const lunkit_file_info& info);

    [[nodiscard]] bool is_conventional(std::uint64_t zone) const {
        return zone < geometry_.conventional_zones;
    }
    [[nodiscard]] bool is_full(std::uint64_t zone) const {
        return table_[zone].written == geometry_.zone(zone).length;
    }
    [[nodiscard]] Zone describe(std::uint64_t zone) const;
    [[nodiscard]] Piece piece_at(ByteRange range) const;
    [[nodiscard]] Status check_write(const IoRequest& io, std::uint64_t zone) const;

    Task<Status> change(Queue& queue, const IoRequest& io, Deed deed);
    Task<Status> change_sequential(Queue& queue, const IoRequest& io, Deed deed);
    Task<Status> advance(Queue& queue, std::uint64_t zone, std::uint64_t written);
    Task<Status> move(Queue& queue, const IoRequest& io, Deed deed, std::uint32_t flags);
    Task<Status> open_zones(Queue& queue, Zones zones);
    Task<Status> close_zones(Queue& queue, Zones zones);
    Task<Status> finish_zones(Queue& queue, Zones zones);
    Task<Status> reset_zones(Queue& queue, Zones zones);

    const lunkit_host& host_;
    void* const host_device_;
    File file_;
    const lunkit_file_info file_info_;  // of the opening
    const Geometry geometry_;
    const std::uint64_t data_offset_;
    ZoneTable table_;
    OpenZones opens_;
    RangeLock locks_;  // of sequential zones
    bool is_loaded_ = false;
};

}  // namespace lunkit::zbc
