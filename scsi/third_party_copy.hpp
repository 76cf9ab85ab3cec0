// SPDX-License-Identifier: Apache-2.0
// ThirdPartyCopy: what the third-party copy commands of one unit share.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "scsi/copy_limits.hpp"
#include "scsi/copy_results.hpp"
#include "scsi/rod_token.hpp"

namespace lunkit::scsi {

struct ThirdPartyCopy {
    CopyResults results;
    RodTokens tokens;
    std::uint8_t running = 0;  ///< copies, up to copy_limits::kConcurrentCopies
};

/// Why a command with a 32-bit list identifier cannot begin now; the identifier may be in use. TCMU
/// does not name the initiators: of two that chose the same one, the second must not get the token
/// of the first, nor the first that of the second.
[[nodiscard]] std::optional<Ending> refuse_copy(ThirdPartyCopy& copies,
                                                std::uint32_t list_identifier,
                                                CopyResults::TimePoint now);

/// A copy that runs, while it is there: counted, and known under its list identifier.
class RunningCopy {
  public:
    /// The caller has seen that there may be one more.
    RunningCopy(ThirdPartyCopy& copies, std::optional<std::uint32_t> list_identifier,
                std::uint8_t service_action)
        : copies_(copies), result_(copies.results.begin(list_identifier, service_action)) {
        ++copies_.running;
    }
    RunningCopy(const RunningCopy&) = delete;
    RunningCopy& operator=(const RunningCopy&) = delete;
    RunningCopy(RunningCopy&&) = delete;
    RunningCopy& operator=(RunningCopy&&) = delete;
    ~RunningCopy() { --copies_.running; }

    [[nodiscard]] static bool may_begin(const ThirdPartyCopy& copies) {
        return copies.running < copy_limits::kConcurrentCopies;
    }
    [[nodiscard]] CopyResult& result() { return result_; }
    /// Its last moment.
    void end(Ending ending, CopyResults::TimePoint now) {
        copies_.results.end(result_, ending, now);
    }

  private:
    ThirdPartyCopy& copies_;
    CopyResult& result_;
};

}  // namespace lunkit::scsi
