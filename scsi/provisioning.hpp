// SPDX-License-Identifier: Apache-2.0
// Provisioning thresholds (SBC-4 4.7.3.7): a thin unit runs out of room before it is full, so its
// initiators hear of it while there still is some, once: a unit attention when what is available
// sinks to the soft threshold, and again after it was above it, while LBPERE says that they want
// to. The threshold is a tenth of the capacity. Resources are counted in threshold sets of 1 MiB.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "lunkit/queue.hpp"

namespace lunkit::scsi {

struct Unit;

/// When the device is asked next how much room there is: others may take of it, too.
struct SpaceWatch {
    bool is_asking = false;
    bool is_armed = true;       ///< the next time at or below the threshold is news
    std::uint64_t written = 0;  ///< Medium::written() when it was asked last
    std::uint64_t budget = 0;   ///< bytes that may be written until it is asked again
    std::optional<std::chrono::steady_clock::time_point> next;  ///< and by when
};

/// Whether the unit has thresholds at all: it is thin and its device tells how much room there is.
[[nodiscard]] bool has_thresholds(const Unit& unit);
/// THRESHOLD EXPONENT: the logical blocks of a threshold set are 2 to this power; 0: no thresholds.
[[nodiscard]] std::uint8_t threshold_exponent(const Unit& unit);
/// The soft threshold, and any number of bytes, in threshold sets; bytes that fill none count none.
[[nodiscard]] std::uint32_t threshold_count(const Unit& unit);
[[nodiscard]] std::uint32_t resource_count(std::uint64_t bytes);

/// After each command. Asks the device, beside the commands, when enough has been written or enough
/// time has passed.
void watch_space(Unit& unit, Queue& queue);

}  // namespace lunkit::scsi
