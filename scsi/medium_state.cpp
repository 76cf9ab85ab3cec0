// SPDX-License-Identifier: Apache-2.0
#include "scsi/medium_state.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "scsi/errno_sense.hpp"
#include "scsi/unit.hpp"

namespace lunkit::scsi {
namespace {

// Zeros may have to be written out: not too many before others get their turn.
constexpr std::uint64_t kMaxZeroPiece = std::uint64_t{16} << 20U;

std::uint64_t size_of(const Unit& unit) {
    return unit.capacity_blocks() * unit.options.block_size;
}

std::uint64_t zero_piece(const Unit& unit) {
    const std::uint64_t block_size = unit.options.block_size;
    return std::min(kMaxZeroPiece / block_size, unit.limits.maximum_write_same_length) * block_size;
}

Task<Status> write_piece(Unit& unit, Queue& queue, Rewrite& rewrite, ByteRange range) {
    if (rewrite.pattern) {
        SingleData data(rewrite.pattern->bytes().first(range.length));
        IoRequest io(range.offset, data, rewrite.flags);
        io.tag = rewrite.tag;
        co_return co_await unit.device.write(queue, io);
    }
    IoRequest io(range.offset, range.length, rewrite.flags);
    io.tag = rewrite.tag;
    co_return co_await unit.device.write_zeroes(queue, io);
}

// Whether zeros are to be written instead: a device without write_zeroes, unless that would take
// too long.
bool needs_writing(const Rewrite& rewrite, const Error& error) {
    return error.code == EOPNOTSUPP && !rewrite.pattern &&
           (rewrite.flags & LUNKIT_IO_NO_FALLBACK) == 0;
}

// Once over the medium, and durable. Others get their turn between two pieces.
Task<Status> write_pass(Unit& unit, Queue& queue, Rewrite& rewrite, bool in_background) {
    for (std::uint64_t at = 0; at < size_of(unit);) {
        if (in_background && unit.medium_state.ending) {
            co_return failure(ECANCELED);
        }
        const std::uint64_t piece =
            rewrite.pattern ? rewrite.pattern->bytes().size() : zero_piece(unit);
        const ByteRange range{at, std::min(size_of(unit) - at, piece)};
        Status written = co_await write_piece(unit, queue, rewrite, range);
        if (!written) {
            if (needs_writing(rewrite, written.error())) {
                constexpr std::byte kZero{0};
                rewrite.pattern = make_pattern(unit, std::span(&kZero, 1));
                rewrite.flags &= ~std::uint32_t{LUNKIT_IO_MAY_UNMAP};
                if (!rewrite.pattern) {
                    co_return failure(ENOMEM);
                }
                continue;
            }
            if (written.error().offset != LUNKIT_NO_OFFSET) {
                written.error().offset += at;
            }
            co_return written;
        }
        at += range.length;
        unit.medium_state.done += range.length;
        (void)co_await queue.yield();  // its outcome says nothing
    }
    co_return co_await unit.device.flush(queue);
}

void invert(std::span<std::byte> bytes) {
    std::ranges::transform(bytes, bytes.begin(), [](std::byte byte) { return ~byte; });
}

Ending failed(const Rewrite& rewrite, const Error& error, std::uint32_t block_size) {
    Ending ending = ending_of(error, {Direction::kWrite, 0, block_size});
    // SBC-4 4.11.4: for SANITIZE there is only one failure, for FORMAT UNIT it may be the space.
    if (ending.sense.key == SenseKey::kMediumError ||
        rewrite.during == MediumState::Condition::kSanitizing) {
        ending.status = StatusCode::kCheckCondition;
        ending.sense.key = SenseKey::kMediumError;
        ending.sense.additional = rewrite.failure;
    }
    return ending;
}

Task<Ending> run(Unit& unit, Queue& queue, Rewrite rewrite, bool in_background) {
    MediumState& medium = unit.medium_state;
    (void)co_await medium.users.close(queue);  // cannot fail
    Status done;
    for (unsigned pass = 0; pass < rewrite.passes && done; ++pass) {
        if (rewrite.invert && (pass > 0 || rewrite.passes % 2 == 0)) {
            invert(rewrite.pattern->bytes());
        }
        done = co_await write_pass(unit, queue, rewrite, in_background);
    }
    const bool is_untouched = !done && medium.done == 0 && done.error().code == EOPNOTSUPP &&
                              (rewrite.flags & LUNKIT_IO_NO_FALLBACK) != 0;
    if (is_untouched) {
        medium.condition = rewrite.before;
    } else {
        medium.condition = done ? MediumState::Condition::kUsable : rewrite.failed;
    }
    medium.allows_exit = rewrite.allows_exit;
    medium.users.open();
    if (is_untouched) {
        co_return check_condition(SenseKey::kIllegalRequest, asc::kInvalidFastFormat);
    }
    co_return done ? good() : failed(rewrite, done.error(), unit.options.block_size);
}

// How it ended stays in the medium's condition.
Task<void> run_alone(Unit& unit, Queue& queue, Rewrite rewrite) {
    (void)co_await run(unit, queue, std::move(rewrite), true);
}

}  // namespace

std::uint16_t MediumState::progress() const {
    constexpr unsigned kMaxBits = 48;  // that can be multiplied
    const auto bits = static_cast<unsigned>(std::bit_width(total));
    const unsigned too_many_bits = bits > kMaxBits ? bits - kMaxBits : 0;
    const std::uint64_t of = std::max<std::uint64_t>(total >> too_many_bits, 1);
    return static_cast<std::uint16_t>(
        std::min<std::uint64_t>((done >> too_many_bits) * 0x10000U / of, 0xffff));
}

std::optional<Sense> MediumState::obstacle() const {
    switch (condition) {
        case Condition::kUsable:
            return {};
        case Condition::kFormatting:
        case Condition::kSanitizing: {
            Sense sense{SenseKey::kNotReady,
                        condition == Condition::kFormatting ? asc::kFormatInProgress
                                                            : asc::kSanitizeInProgress,
                        {},
                        {},
                        {}};
            sense.progress = progress();
            return sense;
        }
        case Condition::kFormatCorrupted:
            return Sense{SenseKey::kMediumError, asc::kMediumFormatCorrupted, {}, {}, {}};
        case Condition::kSanitizeFailed:
            return Sense{SenseKey::kMediumError, asc::kSanitizeCommandFailed, {}, {}, {}};
    }
    return {};
}

std::optional<Buffer> make_pattern(const Unit& unit, std::span<const std::byte> bytes) {
    const std::size_t block_size = unit.options.block_size;
    Buffer buffer(static_cast<std::size_t>(
        std::clamp<std::uint64_t>(size_of(unit), block_size, kMaxBufferSize)));
    if (!buffer) {
        return {};
    }
    const std::span<std::byte> all = buffer.bytes();
    for (std::size_t at = 0; at < block_size; ++at) {
        all[at] = bytes[at % bytes.size()];
    }
    for (std::size_t at = block_size; at < all.size(); at += block_size) {
        std::memcpy(all.data() + at, all.data(), block_size);
    }
    return buffer;
}

Task<Ending> rewrite_medium(Unit& unit, Queue& queue, Rewrite rewrite, bool immediate) {
    MediumState& medium = unit.medium_state;
    const MediumState::Condition before = medium.condition;
    rewrite.before = before;
    medium.condition = rewrite.during;
    medium.done = 0;
    medium.total = rewrite.passes * size_of(unit);
    if (!immediate) {
        co_return co_await run(unit, queue, std::move(rewrite), false);
    }
    if (!unit.initiators.run_in_background(run_alone(unit, queue, std::move(rewrite)))) {
        medium.condition = before;
        co_return busy();
    }
    co_return good();
}

}  // namespace lunkit::scsi
