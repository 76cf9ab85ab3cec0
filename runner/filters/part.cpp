// SPDX-License-Identifier: Apache-2.0
#include "filters/part.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "lunkit/io_request.hpp"
#include "lunkit/try.hpp"

namespace lunkit::filters {

namespace {

/// What of a granularity that holds from byte 0 on holds from `offset` on too.
std::uint32_t aligned(std::uint32_t granularity, std::uint64_t offset) {
    if (granularity == 0 || offset % granularity == 0) {
        return granularity;
    }
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(std::uint64_t{1} << std::countr_zero(offset), granularity));
}

}  // namespace

void PartEnd::set(std::uint64_t size, std::uint64_t below) {
    const std::lock_guard hold(mutex_);
    below_ = below;
    size_.store(size);
}

std::uint64_t PartEnd::follow(std::uint64_t below) {
    const std::lock_guard hold(mutex_);
    const std::uint64_t before = size_.load();
    const bool reached_the_end = options_.offset + before == std::exchange(below_, below);
    if (before == 0 || below <= options_.offset) {
        return 0;  // not open yet, or nothing is left: requests fail below
    }
    const std::uint64_t rest = below - options_.offset;
    const std::uint64_t most = options_.size != 0 ? std::min(options_.size, rest) : rest;
    const std::uint64_t size = reached_the_end ? most : std::min(before, most);
    if (size == before) {
        return 0;
    }
    size_.store(size);
    return size;
}

PartFilter::PartFilter(std::unique_ptr<BlockDevice> below, const PartOptions& options,
                       std::shared_ptr<PartEnd> end)
    : ForwardingDevice(std::move(below)), options_(options), end_(std::move(end)) {}

Result<std::unique_ptr<BlockDevice>> PartFilter::make(std::unique_ptr<BlockDevice> below,
                                                      const PartOptions& options,
                                                      std::uint32_t block_size,
                                                      std::uint64_t wanted,
                                                      std::shared_ptr<PartEnd> end) {
    const DeviceInfo info = below->info();
    if (info.type == DeviceType::kZoned) {
        return failure(EOPNOTSUPP, "no part of a zoned device can be served");
    }
    if ((options.offset | options.size) % block_size != 0) {
        return failure(EINVAL, fmt::format("filter.offset and filter.size are no whole blocks of "
                                           "{} bytes",
                                           block_size));
    }
    if (options.offset >= info.size || options.size > info.size - options.offset) {
        return failure(
            EINVAL, fmt::format("the part that is to be served ends at byte {}; the "
                                "storage has {} bytes",
                                options.offset + std::max<std::uint64_t>(options.size, block_size),
                                info.size));
    }
    const std::uint64_t size = options.size != 0 ? options.size : info.size - options.offset;
    if (wanted > size) {
        return failure(EINVAL, fmt::format("the part that is to be served has {} bytes; {} are "
                                           "asked for",
                                           size, wanted));
    }
    end->set(wanted != 0 ? wanted : size, info.size);
    return std::unique_ptr<BlockDevice>(new PartFilter(std::move(below), options, std::move(end)));
}

DeviceInfo PartFilter::info() const {
    DeviceInfo info = below().info();
    info.size = end_->size();
    info.physical_block_size = aligned(info.physical_block_size, options_.offset);
    info.optimal_io_size = aligned(info.optimal_io_size, options_.offset);
    info.discard_granularity = aligned(info.discard_granularity, options_.offset);
    info.can_tell_space = false;  // it would tell of the whole
    return info;
}

Task<Status> PartFilter::shifted(Queue& queue, const IoRequest& io, Work work) {
    if (!ByteRange::fits(io.offset, io.length, end_->size())) {
        co_return failure(ERANGE);
    }
    IoRequest moved(io);
    moved.offset += options_.offset;
    Status status = co_await (below().*work)(queue, moved);
    co_return status;
}

Task<Status> PartFilter::read(Queue& queue, const IoRequest& io) {
    return shifted(queue, io, &BlockDevice::read);
}

Task<Status> PartFilter::write(Queue& queue, const IoRequest& io) {
    return shifted(queue, io, &BlockDevice::write);
}

Task<Status> PartFilter::discard(Queue& queue, const IoRequest& io) {
    return shifted(queue, io, &BlockDevice::discard);
}

Task<Status> PartFilter::write_zeroes(Queue& queue, const IoRequest& io) {
    return shifted(queue, io, &BlockDevice::write_zeroes);
}

Task<Status> PartFilter::compare_and_write(Queue& queue, const IoRequest& io) {
    return shifted(queue, io, &BlockDevice::compare_and_write);
}

Task<Status> PartFilter::or_write(Queue& queue, const IoRequest& io) {
    return shifted(queue, io, &BlockDevice::or_write);
}

Task<Result<std::uint32_t>> PartFilter::extents(Queue& queue, const IoRequest& io,
                                                std::span<Extent> extents) {
    if (!ByteRange::fits(io.offset, io.length, end_->size())) {
        co_return failure(ERANGE);
    }
    IoRequest moved(io);
    moved.offset += options_.offset;
    Result<std::uint32_t> count = co_await below().extents(queue, moved, extents);
    co_return count;
}

Task<Result<Space>> PartFilter::space(Queue& /*queue*/) {
    co_return failure(EOPNOTSUPP);
}

Status PartFilter::resize(std::uint64_t size) {
    if (size == end_->size()) {
        return {};
    }
    if (options_.size != 0) {
        return failure(EOPNOTSUPP, "filter.size says what the size is");
    }
    std::uint64_t below_size = below().info().size;
    if (options_.offset + size > below_size) {
        CHECK(below().resize(options_.offset + size));
        below_size = below().info().size;
    }
    end_->set(size, below_size);
    return {};
}

}  // namespace lunkit::filters
