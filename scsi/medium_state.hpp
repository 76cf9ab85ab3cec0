// SPDX-License-Identifier: Apache-2.0
// MediumState: who may touch the logical blocks. Commands use them side by side; FORMAT UNIT and
// SANITIZE rewrite them all and have them for themselves meanwhile. A rewrite that fails leaves a
// medium that nobody may use until another succeeds.
//
// A rewrite behind a status that was given already (IMMED) is kept in the unit's memory, and goes
// on in the next unit that has it. One that its command waits for is repeated with the command.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "lunkit/gate.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/task.hpp"
#include "scsi/buffer.hpp"
#include "scsi/ending.hpp"

namespace lunkit::scsi {

struct Unit;

struct MediumState {
    enum class Condition : std::uint8_t {
        kUsable,
        kFormatting,
        kSanitizing,
        kFormatCorrupted,
        kSanitizeFailed,  ///< only another SANITIZE helps (SBC-4 4.11.4)
    };

    Condition condition = Condition::kUsable;
    // Of the rewrite that runs: bytes, of all passes together.
    std::uint64_t done = 0;
    std::uint64_t total = 0;
    /// AUSE of the SANITIZE that failed: EXIT FAILURE MODE helps as well.
    bool allows_exit = false;
    bool ending = false;     ///< LogicalUnit::end_background()
    bool to_resume = false;  ///< a predecessor's rewrite, until LogicalUnit::resume_background()
    /// The condition that a successor shall find.
    Condition kept = Condition::kUsable;
    Gate users;  ///< the commands that use the medium now

    /// Why the medium cannot be used now, with the progress of a rewrite; nothing: it can.
    [[nodiscard]] std::optional<Sense> obstacle() const;
    /// PROGRESS INDICATION of the rewrite that runs.
    [[nodiscard]] std::uint16_t progress() const;
};

/// What FORMAT UNIT and SANITIZE do to the medium.
struct Rewrite {
    MediumState::Condition during;  ///< that the unit is in meanwhile
    MediumState::Condition failed;  ///< that a failure leaves it in
    AdditionalSense failure;        ///< how the command ends when the medium fails it
    /// Whole blocks, to be written over and over; nothing: zeros, as the device makes them best.
    std::optional<Buffer> pattern = {};
    unsigned passes = 1;
    bool invert = false;  ///< the pattern, between two passes; the last is of the pattern itself
    bool allows_exit = false;  ///< as in MediumState, should it fail
    std::uint32_t flags = 0;   ///< LUNKIT_IO_*
    std::uint64_t tag = 0;
    MediumState::Condition before = MediumState::Condition::kUsable;  ///< for rewrite_medium()
};

/// A repeated command with IMMED whose rewrite is under way already.
[[nodiscard]] bool is_rewrite_begun(const Unit& unit, const Command& command);

/// One that is to be filled in: kFormatting, or kSanitizing.
[[nodiscard]] Rewrite rewrite_during(MediumState::Condition during);

/// As many blocks as one write takes, each with `bytes` (not empty, within a block) repeated from
/// its beginning. Nothing: there was no memory.
[[nodiscard]] std::optional<Buffer> make_pattern(const Unit& unit,
                                                 std::span<const std::byte> bytes);

/// Waits for those who use the medium, then rewrites it. With `immediate` the ending only says that
/// it has begun. The caller has checked everything about the command.
Task<Ending> rewrite_medium(Unit& unit, Queue& queue, const Command& command, Rewrite rewrite,
                            bool immediate);

/// LogicalUnit::resume_background().
void resume_rewrite(Unit& unit, Queue& queue);

}  // namespace lunkit::scsi
