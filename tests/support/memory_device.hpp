// SPDX-License-Identifier: Apache-2.0
// MemoryDevice: a BlockDevice in memory for tests. It writes down what it was asked, fails when
// told to, forgets what was not made durable when the power goes, and counts requests that its
// contract does not allow.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "lunkit/block_device.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit::test {

class MemoryDevice final : public BlockDevice {
  public:
    enum class Kind : std::uint8_t {
        kRead,
        kWrite,
        kFlush,
        kDiscard,
        kWriteZeroes,
        kCompareAndWrite,
        kExtents,
        kOrWrite,
        kSpace,
        kReportZones,
        kManageZones,
    };
    struct Request {
        Kind kind;
        std::uint64_t offset;
        std::uint64_t length;
        std::uint32_t flags;
        bool operator==(const Request&) const = default;
    };

    explicit MemoryDevice(std::uint64_t size)
        : bytes_(size), durable_(size), mapped_(size / kGranule, true) {
        properties.size = size;
        properties.thin = true;
        properties.can_discard = true;
        properties.discard_zeroes = true;
        properties.can_extents = true;
    }

    /// What info() gives; a test may change anything but the size.
    DeviceInfo properties;
    /// Each request waits for the queue once instead of completing inline.
    bool suspends = false;
    /// What space() gives, where properties.can_tell_space.
    Space room;
    /// What report_zones() gives; writes do not look at them.
    std::vector<Zone> zones;
    /// What manage_zones() was asked, beside `requests`.
    std::vector<ZoneAction> managed;
    /// Everything asked so far.
    std::vector<Request> requests;
    /// Requests outside the device, not of whole blocks, or beyond their own data.
    std::uint64_t violations = 0;

    [[nodiscard]] std::span<std::byte> bytes() { return bytes_; }
    [[nodiscard]] std::uint64_t count(Kind kind) const {
        return static_cast<std::uint64_t>(
            std::count_if(requests.begin(), requests.end(),
                          [kind](const Request& request) { return request.kind == kind; }));
    }
    void resize_to(std::uint64_t size) {
        bytes_.resize(size);
        durable_.resize(size);
        mapped_.resize(size / kGranule, false);
        properties.size = size;
    }
    /// The next request of this kind fails; several calls, several failures.
    void fail_next(Kind kind, Error error) { failures_.emplace_back(kind, std::move(error)); }
    /// Whether a loss of power would lose nothing.
    [[nodiscard]] bool is_durable() const { return volatile_.empty(); }
    /// What is not durable is lost.
    void lose_power() {
        bytes_ = durable_;
        volatile_.clear();
    }

    [[nodiscard]] DeviceInfo info() const override { return properties; }

    Task<Status> read(Queue& queue, const IoRequest& io) override {
        Status status = co_await begin(queue, Kind::kRead, io, io.length);
        if (status) {
            copy_to_iov(*io.data, io.data_offset, range(io));
        }
        co_return status;
    }
    Task<Status> write(Queue& queue, const IoRequest& io) override {
        Status status = co_await begin(queue, Kind::kWrite, io, io.length);
        if (status) {
            copy_from_iov(*io.data, io.data_offset, range(io));
            changed(io, true);
        }
        co_return status;
    }
    Task<Status> flush(Queue& queue) override {
        Status status = co_await begin(queue, Kind::kFlush, IoRequest(), 0);
        if (status) {
            for (const ByteRange& part : std::exchange(volatile_, {})) {
                persist(part);
            }
        }
        co_return status;
    }
    Task<Status> discard(Queue& queue, const IoRequest& io) override {
        Status status = co_await begin(queue, Kind::kDiscard, io, 0);
        if (status) {
            std::ranges::fill(range(io), std::byte{0});
            changed(io, false);
        }
        co_return status;
    }
    Task<Status> write_zeroes(Queue& queue, const IoRequest& io) override {
        Status status = co_await begin(queue, Kind::kWriteZeroes, io, 0);
        if (status) {
            std::ranges::fill(range(io), std::byte{0});
            changed(io, (io.flags & LUNKIT_IO_MAY_UNMAP) == 0);
        }
        co_return status;
    }
    Task<Status> compare_and_write(Queue& queue, const IoRequest& io) override {
        Status status = co_await begin(queue, Kind::kCompareAndWrite, io, 2 * io.length);
        if (!status) {
            co_return status;
        }
        std::vector<std::byte> expected(io.length);
        copy_from_iov(*io.data, io.data_offset, expected);
        const auto differs = std::mismatch(expected.begin(), expected.end(), range(io).begin());
        const bool compared = io.progress != nullptr && *io.progress == 1;
        if (!compared && differs.first != expected.end()) {
            Error error{EILSEQ};
            error.offset = static_cast<std::uint64_t>(differs.first - expected.begin());
            co_return std::unexpected(error);
        }
        if (io.progress != nullptr) {
            *io.progress = 1;
        }
        copy_from_iov(*io.data, io.data_offset + io.length, range(io));
        changed(io, true);
        co_return status;
    }
    Task<Status> or_write(Queue& queue, const IoRequest& io) override {
        Status status = co_await begin(queue, Kind::kOrWrite, io, io.length);
        if (status) {
            std::vector<std::byte> more(io.length);
            copy_from_iov(*io.data, io.data_offset, more);
            std::ranges::transform(range(io), more, range(io).begin(), std::bit_or<>());
            changed(io, true);
        }
        co_return status;
    }
    Task<Result<std::uint32_t>> extents(Queue& queue, const IoRequest& io,
                                        std::span<Extent> found) override {
        const Status status = co_await begin(queue, Kind::kExtents, io, 0);
        if (!status) {
            co_return std::unexpected(status.error());
        }
        std::uint32_t count = 0;
        for (std::uint64_t at = io.offset / kGranule; at < (io.offset + io.length) / kGranule;
             ++at) {
            const std::uint32_t flags = mapped_[at] ? 0 : LUNKIT_EXTENT_HOLE | LUNKIT_EXTENT_ZERO;
            if (count > 0 && found[count - 1].flags == flags) {
                found[count - 1].length += kGranule;
            } else if (count == found.size()) {
                break;
            } else {
                found[count++] = Extent{kGranule, flags, 0};
            }
        }
        co_return count;
    }
    Task<Result<std::uint32_t>> report_zones(Queue& queue, const IoRequest& io,
                                             std::span<Zone> found) override {
        const Status status = co_await begin(queue, Kind::kReportZones, io, 0);
        if (!status) {
            co_return std::unexpected(status.error());
        }
        std::uint32_t count = 0;
        for (const Zone& zone : zones) {
            if (zone.start + zone.length > io.offset && count < found.size()) {
                found[count++] = zone;
            }
        }
        co_return count;
    }
    Task<Status> manage_zones(Queue& queue, ZoneAction action, const IoRequest& io) override {
        managed.push_back(action);
        Status status = co_await begin(queue, Kind::kManageZones, io, 0);
        if (status && io.progress != nullptr) {
            *io.progress = 2;
        }
        co_return status;
    }
    Task<Result<Space>> space(Queue& queue) override {
        const Status status = co_await begin(queue, Kind::kSpace, IoRequest(), 0);
        if (!status) {
            co_return std::unexpected(status.error());
        }
        co_return room;
    }

  private:
    static constexpr std::uint64_t kGranule = 512;

    /// Notes the request, checks the contract, waits if the test wants that, and fails if it does.
    /// `data_length`: bytes of io.data that it uses.
    Task<Status> begin(Queue& queue, Kind kind, IoRequest io, std::uint64_t data_length) {
        requests.push_back({kind, io.offset, io.length, io.flags});
        const bool has_range = kind != Kind::kFlush && kind != Kind::kSpace;
        const bool fits = ByteRange::fits(io.offset, io.length, bytes_.size());
        const bool is_aligned = (io.offset | io.length) % properties.min_block_size == 0;
        const bool has_data =
            data_length == 0 ||
            (io.data != nullptr && ByteRange::fits(io.data_offset, data_length, io.data->length));
        if (has_range && (!fits || !is_aligned || io.length == 0 || !has_data)) {
            ++violations;
            co_return failure(EINVAL);
        }
        if (suspends) {
            (void)co_await queue.yield();  // its outcome says nothing
        }
        const auto chosen = std::find_if(failures_.begin(), failures_.end(),
                                         [kind](const auto& entry) { return entry.first == kind; });
        if (chosen != failures_.end()) {
            const Error error = chosen->second;
            failures_.erase(chosen);
            co_return std::unexpected(error);
        }
        co_return Status{};
    }
    [[nodiscard]] std::span<std::byte> range(const IoRequest& io) {
        return std::span(bytes_).subspan(io.offset, io.length);
    }
    void changed(const IoRequest& io, bool mapped) {
        for (std::uint64_t at = io.offset / kGranule; at < io.range().end() / kGranule; ++at) {
            mapped_[at] = mapped;
        }
        if (io.fua()) {
            persist(io.range());
        } else {
            volatile_.push_back(io.range());
        }
    }
    void persist(ByteRange part) {
        std::ranges::copy(std::span(bytes_).subspan(part.offset, part.length),
                          durable_.begin() + static_cast<std::ptrdiff_t>(part.offset));
    }

    std::vector<std::byte> bytes_;
    std::vector<std::byte> durable_;
    std::vector<bool> mapped_;
    std::vector<ByteRange> volatile_;
    std::deque<std::pair<Kind, Error>> failures_;
};

}  // namespace lunkit::test
