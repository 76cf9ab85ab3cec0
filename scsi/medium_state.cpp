// SPDX-License-Identifier: Apache-2.0
#include "scsi/medium_state.hpp"

#include <algorithm>
#include <atomic>
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

// Whether a pattern can be remembered: front ends serve no longer blocks, but it is their promise.
bool fits_memory(const Unit& unit) {
    return unit.options.block_size <= UnitMemory::kMaxBlockSize;
}

// What a successor needs to know of a rewrite in the background; before Unit::remember() tells it
// that there is one.
void remember_rewrite(const Unit& unit, Rewrite& rewrite) {
    UnitMemory* const memory = unit.options.memory;
    if (memory == nullptr) {
        return;
    }
    memory->rewrite = {.size = size_of(unit),
                       .done = 0,
                       .flags = rewrite.flags,
                       .passes = rewrite.passes,
                       .before = static_cast<std::uint8_t>(rewrite.before),
                       .has_pattern = rewrite.pattern ? std::uint8_t{1} : std::uint8_t{0},
                       .invert = rewrite.invert ? std::uint8_t{1} : std::uint8_t{0},
                       .allows_exit = rewrite.allows_exit ? std::uint8_t{1} : std::uint8_t{0},
                       .reserved = {},
                       .block = {}};
    if (rewrite.pattern && fits_memory(unit)) {
        std::ranges::copy(rewrite.pattern->bytes().first(unit.options.block_size),
                          memory->rewrite.block.begin());
    }
}

void remember_progress(const Unit& unit) {
    if (UnitMemory* const memory = unit.options.memory; memory != nullptr) {
        std::atomic_ref(memory->rewrite.done)
            .store(unit.medium_state.done, std::memory_order_release);
    }
}

// Nothing: what is left of it makes no sense, or there is no memory for it.
std::optional<Rewrite> recall_rewrite(Unit& unit) {
    constexpr std::uint32_t kFlags = LUNKIT_IO_MAY_UNMAP | LUNKIT_IO_NO_FALLBACK | LUNKIT_IO_REPLAY;
    constexpr std::uint32_t kMaxPasses = 31;  // SBC-4 table 111, OVERWRITE COUNT
    const auto& kept = unit.options.memory->rewrite;
    const std::uint64_t size = size_of(unit);
    const bool is_possible =
        (kept.flags & ~kFlags) == 0 && kept.passes > 0 && kept.passes <= kMaxPasses &&
        kept.before <= static_cast<std::uint8_t>(MediumState::Condition::kSanitizeFailed) &&
        (kept.has_pattern != 0 ? fits_memory(unit) : kept.invert == 0);
    if (!is_possible) {
        return {};
    }
    Rewrite rewrite = rewrite_during(unit.medium_state.condition);
    rewrite.passes = kept.passes;
    rewrite.invert = kept.invert != 0;
    rewrite.allows_exit = kept.allows_exit != 0;
    rewrite.flags = kept.flags | LUNKIT_IO_REPLAY;
    rewrite.before = static_cast<MediumState::Condition>(kept.before);
    if (kept.has_pattern != 0) {
        rewrite.pattern = make_pattern(unit, std::span(kept.block).first(unit.options.block_size));
        if (!rewrite.pattern) {
            return {};
        }
    }
    unit.medium_state.total = rewrite.passes * size;
    unit.medium_state.done =
        kept.size == size ? std::min(kept.done, unit.medium_state.total) : 0;  // resized: once more
    return rewrite;
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

// From `at` to the end of the medium, and durable. Others get their turn between two pieces.
Task<Status> write_pass(Unit& unit, Queue& queue, Rewrite& rewrite, std::uint64_t at,
                        bool in_background) {
    while (at < size_of(unit)) {
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
        if (in_background) {
            remember_progress(unit);
        }
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
    bool is_inverted = false;
    const std::uint64_t size = std::max<std::uint64_t>(size_of(unit), 1);
    const auto first =
        static_cast<unsigned>(std::min<std::uint64_t>(medium.done / size, rewrite.passes - 1));
    for (unsigned pass = first; pass < rewrite.passes && done; ++pass) {
        // The last pass is of the pattern itself.
        const bool inverts = rewrite.invert && (rewrite.passes - pass) % 2 == 0;
        if (inverts != std::exchange(is_inverted, inverts)) {
            invert(rewrite.pattern->bytes());
        }
        const std::uint64_t at = pass == first ? medium.done - first * size : 0;
        done = co_await write_pass(unit, queue, rewrite, at, in_background);
    }
    if (!done && done.error().code == ECANCELED && medium.ending &&
        unit.options.memory != nullptr) {
        medium.users.open();
        co_return busy();  // nobody hears it; a successor goes on
    }
    const bool is_untouched = !done && medium.done == 0 && done.error().code == EOPNOTSUPP &&
                              (rewrite.flags & LUNKIT_IO_NO_FALLBACK) != 0;
    if (is_untouched) {
        medium.condition = rewrite.before;
    } else {
        medium.condition = done ? MediumState::Condition::kUsable : rewrite.failed;
    }
    medium.allows_exit = rewrite.allows_exit;
    medium.kept = medium.condition;
    unit.remember();
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

Rewrite rewrite_during(MediumState::Condition during) {
    const bool formats = during == MediumState::Condition::kFormatting;
    return {.during = during,
            .failed = formats ? MediumState::Condition::kFormatCorrupted
                              : MediumState::Condition::kSanitizeFailed,
            .failure = formats ? asc::kFormatCommandFailed : asc::kSanitizeCommandFailed};
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

// The mark is made before the memory tells of the rewrite: without that it has not begun.
bool is_rewrite_begun(const Unit& unit, const Command& command) {
    return command.replay && unit.medium_state.to_resume && command.progress != nullptr &&
           *command.progress == command_progress::kRewriteBegun;
}

Task<Ending> rewrite_medium(Unit& unit, Queue& queue, const Command& command, Rewrite rewrite,
                            bool immediate) {
    MediumState& medium = unit.medium_state;
    if (is_rewrite_begun(unit, command)) {
        co_return good();
    }
    const MediumState::Condition before = medium.condition;
    rewrite.before = before;
    medium.condition = rewrite.during;
    medium.done = 0;
    medium.total = rewrite.passes * size_of(unit);
    if (!immediate) {
        co_return co_await run(unit, queue, std::move(rewrite), false);
    }
    if (command.progress != nullptr) {
        std::atomic_ref(*command.progress)
            .store(command_progress::kRewriteBegun, std::memory_order_release);
    }
    medium.kept = rewrite.during;
    remember_rewrite(unit, rewrite);
    unit.remember();
    if (!unit.initiators.run_in_background(run_alone(unit, queue, std::move(rewrite)))) {
        medium.condition = medium.kept = before;
        unit.remember();
        co_return busy();
    }
    co_return good();
}

void resume_rewrite(Unit& unit, Queue& queue) {
    MediumState& medium = unit.medium_state;
    if (!std::exchange(medium.to_resume, false)) {
        return;
    }
    std::optional<Rewrite> rewrite = recall_rewrite(unit);
    // The medium is of no use half done: should the rewrite not be known well enough to go on, or
    // should it be too late for it here, that is what the initiators hear.
    if (!rewrite) {
        medium.condition = rewrite_during(medium.condition).failed;
        medium.kept = medium.condition;
        unit.remember();
        return;
    }
    (void)unit.initiators.run_in_background(run_alone(unit, queue, *std::move(rewrite)));
}

}  // namespace lunkit::scsi
