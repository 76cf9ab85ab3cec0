// SPDX-License-Identifier: Apache-2.0
#include "scsi/provisioning.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "scsi/unit.hpp"

namespace lunkit::scsi {
namespace {

constexpr unsigned kThresholdSetShift = 20;
constexpr std::uint64_t kThresholdSet = std::uint64_t{1} << kThresholdSetShift;  // bytes
constexpr std::uint64_t kPartOfCapacity = 10;
// Below the threshold it is only the way back that is looked for.
constexpr std::uint64_t kBudgetBelow = 16 * kThresholdSet;
constexpr std::chrono::seconds kInterval{5};

Task<void> ask_for_space(Unit& unit, Queue& queue) {
    SpaceWatch& watch = unit.space_watch;
    const Result<Space> space = co_await unit.device.space(queue);
    watch.is_asking = false;
    watch.next = unit.options.now() + kInterval;
    watch.budget = kThresholdSet;
    if (!space) {  // whoever reads the log page hears of it
        co_return;
    }
    const std::uint64_t threshold = threshold_count(unit) * kThresholdSet;
    const bool is_scarce = space->available <= threshold;
    const bool is_news = is_scarce && watch.is_armed;
    const bool tells = is_news && unit.mode.threshold_reporting;  // else it stays news
    const bool was_armed = std::exchange(watch.is_armed, !is_scarce || (is_news && !tells));
    if (tells) {
        unit.establish(asc::kThinProvisioningSoftThresholdReached);
    } else if (was_armed != watch.is_armed) {
        unit.remember();
    }
    // Half of the way to the threshold: whoever else writes may be as fast.
    watch.budget =
        is_scarce ? kBudgetBelow : std::max((space->available - threshold) / 2, kThresholdSet);
}

}  // namespace

bool has_thresholds(const Unit& unit) {
    return unit.info.thin && unit.info.can_tell_space;
}

std::uint8_t threshold_exponent(const Unit& unit) {
    return has_thresholds(unit)
               ? static_cast<std::uint8_t>(
                     kThresholdSetShift -
                     static_cast<unsigned>(std::countr_zero(unit.options.block_size)))
               : std::uint8_t{0};
}

std::uint32_t threshold_count(const Unit& unit) {
    return std::max<std::uint32_t>(resource_count(unit.info.size / kPartOfCapacity), 1);
}

std::uint32_t resource_count(std::uint64_t bytes) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(
        bytes >> kThresholdSetShift, std::numeric_limits<std::uint32_t>::max()));
}

void watch_space(Unit& unit, Queue& queue) {
    SpaceWatch& watch = unit.space_watch;
    const std::uint64_t written = unit.device.written();
    if (written == watch.written || watch.is_asking || !has_thresholds(unit)) {
        return;
    }
    if (watch.next && written - watch.written < watch.budget && unit.options.now() < *watch.next) {
        return;
    }
    watch.written = written;
    watch.is_asking = true;
    if (!unit.initiators.run_in_background(ask_for_space(unit, queue))) {
        watch.is_asking = false;  // it is too late for that
    }
}

}  // namespace lunkit::scsi
