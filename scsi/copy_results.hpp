// SPDX-License-Identifier: Apache-2.0
// CopyResults: what became of the unit's third-party copies, for the commands that ask later
// (RECEIVE COPY STATUS and its kin).
//
// A copy is found by its list identifier. TCMU does not name the initiators, so two of them may use
// the same one; then the copy that began last is found. Results are held for a few seconds only
// (SPC-4 6.24: a vendor specific time): an initiator that logs in anew must not find those of its
// former life, and the unit does not hear of logins.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "scsi/copy_limits.hpp"
#include "scsi/ending.hpp"

namespace lunkit::scsi {

struct CopyResult {
    enum class State : std::uint8_t { kNone, kInProgress, kEnded };

    State state = State::kNone;
    /// Nothing: nobody can ask (LIST ID USAGE 11b). Those of 8 bits count as of 32
    /// (SPC-4 5.17.4.2).
    std::optional<std::uint32_t> list_identifier;
    std::uint8_t service_action = 0;       ///< of the command
    std::uint16_t segments_processed = 0;  ///< with the one that is being processed
    std::uint64_t bytes_transferred = 0;   ///< in the order of the command
    Ending ending;                         ///< when kEnded
    /// Of the token that POPULATE TOKEN has made.
    std::optional<std::uint64_t> token_identifier;
    bool is_token_told = false;  ///< an initiator has got it
    bool is_partial = false;     ///< WRITE USING TOKEN: there was less than asked for

    std::uint64_t order = 0;
    std::chrono::steady_clock::time_point ended;
};

class CopyResults {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::seconds kHeldFor{5};

    /// A place for a copy that begins; it stays where it is until end(). There is one for each copy
    /// that may run at a time. What an earlier copy with this identifier has left is discarded.
    CopyResult& begin(std::optional<std::uint32_t> list_identifier, std::uint8_t service_action);
    void end(CopyResult& result, Ending ending, TimePoint now);
    /// nullptr: no such copy is known (any more).
    [[nodiscard]] CopyResult* find(std::uint32_t list_identifier, TimePoint now);

  private:
    std::array<CopyResult, std::size_t{2} * copy_limits::kConcurrentCopies> results_;
    std::uint64_t begun_ = 0;
};

}  // namespace lunkit::scsi
