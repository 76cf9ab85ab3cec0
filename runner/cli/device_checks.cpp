// SPDX-License-Identifier: Apache-2.0
#include "cli/device_checks.hpp"

#include <fmt/format.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>

#include "lunkit/gate.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/try.hpp"

namespace lunkit::cli {

namespace {

constexpr std::uint64_t kWindow = std::uint64_t{4} << 20;
constexpr std::size_t kLongest = std::size_t{1} << 20;
constexpr std::size_t kRandomRequests = 400;
constexpr std::size_t kAtOnce = 32;

std::unexpected<Error> broken(std::string what) {
    return failure(EPROTO, std::move(what));
}

/// What a request that should have worked came to.
std::unexpected<Error> refused(const char* request, std::uint64_t offset, std::uint64_t length,
                               const Error& error) {
    return broken(
        fmt::format("{} of {} bytes at {} ended with '{}'", request, length, offset,
                    error.what.empty() ? std::generic_category().message(error.code) : error.what));
}

bool is_power_of_two(std::uint64_t value) {
    return std::has_single_bit(value);
}

}  // namespace

struct DeviceChecks::Crowd {
    Gate gate;
    Status first_failure;
};

DeviceChecks::DeviceChecks(BlockDevice& device, Queue& queue, std::uint32_t block_size,
                           std::uint64_t seed)
    : device_(&device), queue_(queue), block_(block_size), random_(seed) {
    const std::uint64_t size = device.info().size / block_ * block_;
    const std::uint64_t half = size / 2 / block_ * block_;
    const std::uint64_t length = std::min(kWindow, half);
    windows_.push_back({0, std::vector<std::byte>(length)});
    windows_.push_back({size - length, std::vector<std::byte>(length)});
}

std::span<const DeviceChecks::Check> DeviceChecks::all() {
    static constexpr std::array kChecks = {
        Check{"tells what it is", &DeviceChecks::tells_what_it_is},
        Check{"keeps what is written", &DeviceChecks::keeps_what_is_written},
        Check{"reaches both ends", &DeviceChecks::reaches_both_ends},
        Check{"takes data in pieces", &DeviceChecks::takes_data_in_pieces},
        Check{"takes long transfers", &DeviceChecks::takes_long_transfers},
        Check{"writes zeroes", &DeviceChecks::writes_zeroes},
        Check{"discards", &DeviceChecks::discards},
        Check{"tells extents", &DeviceChecks::tells_extents},
        Check{"compares and writes", &DeviceChecks::compares_and_writes},
        Check{"sets bits", &DeviceChecks::sets_bits},
        Check{"makes durable", &DeviceChecks::makes_durable},
        Check{"tells its space", &DeviceChecks::tells_its_space},
        Check{"survives random requests", &DeviceChecks::survives_random_requests},
        Check{"serves many at once", &DeviceChecks::serves_many_at_once},
        Check{"serves overlapping writes", &DeviceChecks::serves_overlapping_writes},
    };
    return kChecks;
}

DeviceChecks::Place DeviceChecks::anywhere(std::size_t most_blocks) {
    Window& window = windows_[random_() % windows_.size()];
    const std::size_t blocks = window.bytes.size() / block_;
    const std::size_t length = 1 + random_() % std::min(most_blocks, blocks);
    const std::size_t first = random_() % (blocks - length + 1);
    return {&window, first * block_, length * block_};
}

std::vector<std::byte> DeviceChecks::noise(std::size_t length) {
    std::vector<std::byte> bytes(length);
    for (std::size_t at = 0; at < length; at += sizeof(std::uint64_t)) {
        const std::uint64_t word = random_();
        std::memcpy(&bytes[at], &word, std::min(sizeof word, length - at));
    }
    return bytes;
}

Task<Status> DeviceChecks::write(Place place, std::uint32_t flags) {
    std::ranges::copy(noise(place.length), place.expected().begin());
    const SingleData data(place.expected());
    const IoRequest io(place.on_device(), data, flags);
    const Status status = co_await device_->write(queue_, io);
    if (!status) {
        co_return refused("a write", io.offset, io.length, status.error());
    }
    co_return Status();
}

Task<Status> DeviceChecks::compare(Place place) {
    std::vector<std::byte> bytes(place.length, std::byte{0xa5});
    const SingleData data(bytes);
    const IoRequest io(place.on_device(), data);
    const Status status = co_await device_->read(queue_, io);
    if (!status) {
        co_return refused("a read", io.offset, io.length, status.error());
    }
    const auto [read, expected] = std::ranges::mismatch(bytes, place.expected());
    if (read != bytes.end()) {
        co_return broken(
            fmt::format("byte {} is {:#04x}, was written as {:#04x}",
                        place.on_device() + static_cast<std::uint64_t>(read - bytes.begin()),
                        std::to_integer<unsigned>(*read), std::to_integer<unsigned>(*expected)));
    }
    co_return Status();
}

Task<Status> DeviceChecks::compare_all() {
    for (Window& window : windows_) {
        for (std::size_t at = 0; at < window.bytes.size(); at += kLongest) {
            CO_CHECK(co_await compare({&window, at, std::min(kLongest, window.bytes.size() - at)}));
        }
    }
    co_return Status();
}

Task<Verdict> DeviceChecks::holds_contents(BlockDevice& reopened) {
    device_ = &reopened;
    CO_CHECK(co_await compare_all());
    co_return "";
}

Task<Verdict> DeviceChecks::tells_what_it_is() {
    const DeviceInfo info = device_->info();
    if (info.size < 2 * std::uint64_t{block_}) {
        co_return broken(fmt::format("its size is {} bytes; two blocks are needed", info.size));
    }
    if (!is_power_of_two(info.min_block_size)) {
        co_return broken(fmt::format("min_block_size is {}", info.min_block_size));
    }
    if (info.physical_block_size != 0 && !is_power_of_two(info.physical_block_size)) {
        co_return broken(fmt::format("physical_block_size is {}", info.physical_block_size));
    }
    const std::array multiples = {
        std::pair("discard_granularity", std::uint64_t{info.discard_granularity}),
        std::pair("max_transfer", info.max_transfer),
        std::pair("max_atomic_write", info.max_atomic_write)};
    for (const auto& [name, value] : multiples) {
        if (value % info.min_block_size != 0) {
            co_return broken(
                fmt::format("{} is {}, not a multiple of min_block_size", name, value));
        }
    }
    if (info.discard_zeroes && !info.can_discard) {
        co_return broken("discarded blocks read as zeros, it says, but it cannot discard");
    }
    co_return "";
}

Task<Verdict> DeviceChecks::keeps_what_is_written() {
    for (Window& window : windows_) {
        for (std::size_t at = 0; at < window.bytes.size(); at += kLongest) {
            CO_CHECK(
                co_await write({&window, at, std::min(kLongest, window.bytes.size() - at)}, 0));
        }
    }
    CO_CHECK(co_await compare_all());
    co_return "";
}

Task<Verdict> DeviceChecks::reaches_both_ends() {
    Window& front = windows_.front();
    Window& back = windows_.back();
    CO_CHECK(co_await write({&front, 0, block_}, 0));
    CO_CHECK(co_await write({&back, back.bytes.size() - block_, block_}, 0));
    CO_CHECK(co_await compare_all());
    co_return "";
}

// Data as it comes out of a ring: many iovecs that end anywhere, with bytes of others around.
Task<Verdict> DeviceChecks::takes_data_in_pieces() {
    constexpr std::array<std::size_t, 6> kPieces = {1, 511, 3, 4096, 13, 700};
    constexpr std::size_t kBefore = 5;
    constexpr std::byte kOthers{0x5a};
    const std::size_t blocks = std::min<std::size_t>(16, windows_.front().bytes.size() / block_);
    const Place place{&windows_.front(), 0, blocks * block_};
    for (int round = 0; round < 2; ++round) {
        const bool writing = round == 0;
        std::vector<std::byte> bytes(kBefore + place.length + kBefore, kOthers);
        const std::span<std::byte> own = std::span(bytes).subspan(kBefore, place.length);
        if (writing) {
            std::ranges::copy(noise(place.length), place.expected().begin());
            std::ranges::copy(place.expected(), own.begin());
        }
        std::vector<iovec> pieces;
        for (std::size_t at = 0; at < bytes.size(); at += pieces.back().iov_len) {
            const std::size_t length = kPieces[pieces.size() % kPieces.size()];
            pieces.push_back({&bytes[at], std::min(length, bytes.size() - at)});
        }
        const Data data(pieces, bytes.size());
        IoRequest io(place.on_device(), place.length);
        io.data = &data;
        io.data_offset = kBefore;
        const Status status =
            writing ? co_await device_->write(queue_, io) : co_await device_->read(queue_, io);
        if (!status) {
            co_return refused(writing ? "a write" : "a read", io.offset, io.length, status.error());
        }
        if (!std::ranges::equal(own, place.expected())) {
            co_return broken(writing ? "a write has changed the data that it was given"
                                     : "what was read in pieces is not what was written");
        }
        const auto is_foreign = [](std::byte byte) { return byte != kOthers; };
        if (std::ranges::any_of(std::span(bytes).first(kBefore), is_foreign) ||
            std::ranges::any_of(std::span(bytes).last(kBefore), is_foreign)) {
            co_return broken("bytes beside the request's data were written");
        }
    }
    CO_CHECK(co_await compare_all());
    co_return "";
}

Task<Verdict> DeviceChecks::takes_long_transfers() {
    for (Window& window : windows_) {
        const Place whole{&window, 0, window.bytes.size()};
        CO_CHECK(co_await write(whole, 0));
        CO_CHECK(co_await compare(whole));
    }
    co_return "";
}

Task<Status> DeviceChecks::zero(Place place, std::uint32_t flags) {
    const IoRequest io(place.on_device(), place.length, flags);
    const Status status = co_await device_->write_zeroes(queue_, io);
    if (!status && status.error().code == EOPNOTSUPP && (flags & LUNKIT_IO_NO_FALLBACK) != 0) {
        co_return Status();
    }
    if (!status) {
        co_return refused("a write of zeroes", io.offset, io.length, status.error());
    }
    std::ranges::fill(place.expected(), std::byte{0});
    co_return Status();
}

Task<Verdict> DeviceChecks::writes_zeroes() {
    static constexpr std::array<std::uint32_t, 5> kFlags = {0, LUNKIT_IO_MAY_UNMAP,
                                                            LUNKIT_IO_NO_FALLBACK, LUNKIT_IO_FUA,
                                                            LUNKIT_IO_MAY_UNMAP | LUNKIT_IO_FUA};
    for (const std::uint32_t flags : kFlags) {
        const Place place = anywhere(kLongest / block_);
        CO_CHECK(co_await write(place, 0));
        CO_CHECK(co_await zero(place, flags));
        CO_CHECK(co_await compare_all());
        CO_CHECK(co_await write(place, 0));
        CO_CHECK(co_await compare(place));
    }
    co_return "";
}

Task<Verdict> DeviceChecks::discards() {
    const DeviceInfo info = device_->info();
    if (!info.can_discard) {
        co_return "it does not discard";
    }
    for (int round = 0; round < 4; ++round) {
        const Place place = anywhere(kLongest / block_);
        CO_CHECK(co_await write(place, 0));
        const IoRequest io(place.on_device(), place.length);
        const Status status = co_await device_->discard(queue_, io);
        if (!status) {
            co_return refused("a discard", io.offset, io.length, status.error());
        }
        if (info.discard_zeroes) {
            std::ranges::fill(place.expected(), std::byte{0});
        } else {
            // It may read as anything, but as the same each time.
            const SingleData data(place.expected());
            const IoRequest look(place.on_device(), data);
            CO_CHECK(co_await device_->read(queue_, look));
        }
        CO_CHECK(co_await compare_all());
        CO_CHECK(co_await write(place, 0));
        CO_CHECK(co_await compare(place));
    }
    co_return "";
}

Task<Verdict> DeviceChecks::tells_extents() {
    if (!device_->info().can_extents) {
        co_return "it does not tell extents";
    }
    for (Window& window : windows_) {
        Place rest{&window, 0, window.bytes.size()};
        CO_CHECK(co_await write(rest, 0));
        while (rest.length > 0) {
            CO_TRY(const std::size_t told, co_await ask_extents(rest));
            rest.offset += told;
            rest.length -= told;
        }
    }
    co_return "";
}

/// How much of `place`, which was written, the extents tell of that it gives at once.
Task<Result<std::size_t>> DeviceChecks::ask_extents(Place place) {
    std::array<Extent, 3> extents{};
    const IoRequest io(place.on_device(), place.length);
    const Result<std::uint32_t> count = co_await device_->extents(queue_, io, extents);
    if (!count) {
        co_return refused("a question for extents", io.offset, io.length, count.error());
    }
    if (*count == 0 || *count > extents.size()) {
        co_return broken(
            fmt::format("{} extents at {}, of {} asked for", *count, io.offset, extents.size()));
    }
    std::uint64_t told = 0;
    for (const Extent& extent : std::span(extents).first(*count)) {
        if (extent.length == 0) {
            co_return broken(fmt::format("an extent of no bytes at {}", io.offset + told));
        }
        if ((extent.flags & (LUNKIT_EXTENT_HOLE | LUNKIT_EXTENT_ZERO)) != 0) {
            co_return broken(fmt::format("what was written at {} is said to be a hole, or zeros",
                                         io.offset + told));
        }
        told += extent.length;
    }
    if (told > place.length) {
        co_return broken(fmt::format("extents from {} on end {} bytes behind what was asked",
                                     io.offset, told - place.length));
    }
    co_return told;
}

Task<Verdict> DeviceChecks::compares_and_writes() {
    const Place place = anywhere(4);
    CO_CHECK(co_await write(place, 0));
    std::vector<std::byte> bytes(place.expected().begin(), place.expected().end());
    const std::vector<std::byte> fresh = noise(place.length);
    bytes.insert(bytes.end(), fresh.begin(), fresh.end());
    const std::size_t wrong = place.length - 1;
    bytes[wrong] ^= std::byte{1};
    const SingleData data(bytes);
    IoRequest io(place.on_device(), place.length);
    io.data = &data;
    const Status differs = co_await device_->compare_and_write(queue_, io);
    if (!differs && differs.error().code == EOPNOTSUPP) {
        co_return "it has no compare_and_write";
    }
    if (differs || differs.error().code != EILSEQ) {
        co_return broken("a comparison with something else did not end with EILSEQ");
    }
    if (differs.error().offset != wrong) {
        co_return broken(
            fmt::format("byte {} differed, it names {}", wrong, differs.error().offset));
    }
    CO_CHECK(co_await compare_all());
    bytes[wrong] ^= std::byte{1};
    const Status equal = co_await device_->compare_and_write(queue_, io);
    if (!equal) {
        co_return refused("a compare_and_write", io.offset, io.length, equal.error());
    }
    std::ranges::copy(fresh, place.expected().begin());
    CO_CHECK(co_await compare_all());
    co_return "";
}

Task<Verdict> DeviceChecks::sets_bits() {
    const Place place = anywhere(4);
    CO_CHECK(co_await write(place, 0));
    std::vector<std::byte> bits = noise(place.length);
    const SingleData data(bits);
    const IoRequest io(place.on_device(), data);
    const Status status = co_await device_->or_write(queue_, io);
    if (!status && status.error().code == EOPNOTSUPP) {
        co_return "it has no or_write";
    }
    if (!status) {
        co_return refused("an or_write", io.offset, io.length, status.error());
    }
    std::ranges::transform(place.expected(), bits, place.expected().begin(), std::bit_or());
    CO_CHECK(co_await compare_all());
    co_return "";
}

Task<Verdict> DeviceChecks::makes_durable() {
    for (int round = 0; round < 4; ++round) {
        CO_CHECK(co_await write(anywhere(64), LUNKIT_IO_FUA));
        CO_CHECK(co_await write(anywhere(64), 0));
        const Status status = co_await device_->flush(queue_);
        if (!status) {
            co_return refused("a flush", 0, 0, status.error());
        }
    }
    CO_CHECK(co_await compare_all());
    co_return "";
}

Task<Verdict> DeviceChecks::tells_its_space() {
    if (!device_->info().can_tell_space) {
        co_return "it does not tell its space";
    }
    const Result<Space> space = co_await device_->space(queue_);
    if (!space) {
        co_return refused("a question for space", 0, 0, space.error());
    }
    co_return "";
}

Task<Status> DeviceChecks::random_request(Place place) {
    switch (random_() % 8) {
        case 0:
            return zero(place, LUNKIT_IO_MAY_UNMAP);
        case 1:
            return zero(place, 0);
        case 2:
        case 3:
            return write(place, LUNKIT_IO_FUA);
        case 4:
        case 5:
            return write(place, 0);
        default:
            return compare(place);
    }
}

Task<Verdict> DeviceChecks::survives_random_requests() {
    for (std::size_t count = 0; count < kRandomRequests; ++count) {
        CO_CHECK(co_await random_request(anywhere(64)));
    }
    CO_CHECK(co_await compare_all());
    co_return "";
}

Detached DeviceChecks::start(Task<Status> task, Crowd& crowd) {
    const Gate::Pass pass = crowd.gate.enter();
    const Task<Status> running = std::move(task);
    Status status = co_await running;
    if (!status && crowd.first_failure) {
        crowd.first_failure = std::move(status);
    }
}

Task<Status> DeviceChecks::change_slice(Place slice) {
    const std::size_t blocks = slice.length / block_;
    for (int round = 0; round < 16; ++round) {
        const std::size_t length = 1 + random_() % blocks;
        const std::size_t first = random_() % (blocks - length + 1);
        CO_CHECK(co_await random_request(
            {slice.window, slice.offset + first * block_, length * block_}));
    }
    co_return Status();
}

Task<Verdict> DeviceChecks::serves_many_at_once() {
    Window& window = windows_.front();
    const std::size_t slice = window.bytes.size() / block_ / kAtOnce * block_;
    if (slice == 0) {
        co_return "it is too small";
    }
    Crowd crowd;
    for (std::size_t index = 0; index < kAtOnce; ++index) {
        start(change_slice({&window, index * slice, slice}), crowd);
    }
    (void)co_await crowd.gate.close(queue_);
    CO_CHECK(std::move(crowd.first_failure));
    CO_CHECK(co_await compare_all());
    co_return "";
}

// In which order they end is free, but each block is one of theirs, whole.
Task<Verdict> DeviceChecks::serves_overlapping_writes() {
    Window& window = windows_.back();
    const Place place{&window, 0, std::min(std::size_t{4} * block_, window.bytes.size())};
    std::vector<std::vector<std::byte>> contents;
    contents.reserve(kAtOnce);
    for (std::size_t index = 0; index < kAtOnce; ++index) {
        contents.push_back(noise(place.length));
    }
    Crowd crowd;
    struct Writer {
        SingleData data;
        IoRequest io;
        Writer(std::vector<std::byte>& bytes, std::uint64_t at) : data(bytes), io(at, data) {}
    };
    std::vector<std::unique_ptr<Writer>> writers;
    for (std::vector<std::byte>& bytes : contents) {
        writers.push_back(std::make_unique<Writer>(bytes, place.on_device()));
        start(device_->write(queue_, writers.back()->io), crowd);
    }
    (void)co_await crowd.gate.close(queue_);
    CO_CHECK(std::move(crowd.first_failure));
    const SingleData data(place.expected());
    const IoRequest look(place.on_device(), data);
    CO_CHECK(co_await device_->read(queue_, look));
    for (std::size_t at = 0; at < place.length; at += block_) {
        const auto block = place.expected().subspan(at, block_);
        const bool is_whole = std::ranges::any_of(contents, [&](std::vector<std::byte>& bytes) {
            return std::ranges::equal(block, std::span(bytes).subspan(at, block_));
        });
        if (!is_whole) {
            co_return broken(fmt::format("the block at {} is a mixture of several writes",
                                         place.on_device() + at));
        }
    }
    CO_CHECK(co_await compare_all());
    co_return "";
}

}  // namespace lunkit::cli
