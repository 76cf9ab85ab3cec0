// SPDX-License-Identifier: Apache-2.0
#include "scsi/unit_memory.hpp"

#include <atomic>
#include <cstring>
#include <utility>

#include "scsi/unit.hpp"

namespace lunkit::scsi {
namespace {

// UnitMemory::state.
constexpr std::uint32_t kWriteCacheEnabled = 0x01;
constexpr std::uint32_t kDescriptorSense = 0x02;
constexpr std::uint32_t kSoftwareWriteProtect = 0x04;
constexpr std::uint32_t kStopped = 0x08;
constexpr std::uint32_t kAllowsExit = 0x10;
constexpr std::uint32_t kDeferredError = 0x20;
constexpr std::uint32_t kScarcityTold = 0x40;
constexpr std::uint32_t kThresholdsUntold = 0x80;
constexpr unsigned kConditionShift = 8;  // MediumState::Condition, eight bits

bool is_rewrite(MediumState::Condition condition) {
    return condition == MediumState::Condition::kFormatting ||
           condition == MediumState::Condition::kSanitizing;
}

Sense attention_sense(AdditionalSense attention) {
    return {SenseKey::kUnitAttention, attention, {}, {}};
}

// SPC-5 4.5.7: of writes that ended GOOD nobody knows which.
Sense deferred_write_error() {
    Sense sense{SenseKey::kMediumError, asc::kWriteError, {}, {}};
    sense.deferred = true;
    return sense;
}

// The predecessor may have died before the memory said that it was taken, but not later than the
// command's own turn: what is pending and equal is the same one.
std::optional<Sense> taken_before(Unit& unit, const Command& command) {
    const std::uint64_t progress = command.progress == nullptr ? 0 : *command.progress;
    if (progress == command_progress::kDeferredError) {
        unit.deferred_error = false;
        unit.remember();
        return deferred_write_error();
    }
    if ((progress & ~command_progress::kHandlersBits) == command_progress::kAttention) {
        const auto attention = AdditionalSense::unpack(static_cast<std::uint16_t>(progress));
        unit.attentions.withdraw(attention);
        unit.remember();
        return attention_sense(attention);
    }
    return {};
}

}  // namespace

void Unit::remember() const {
    UnitMemory* const memory = options.memory;
    if (memory == nullptr) {
        return;
    }
    const std::uint32_t state = (mode.write_cache_enabled ? kWriteCacheEnabled : 0U) |
                                (mode.descriptor_sense ? kDescriptorSense : 0U) |
                                (mode.software_write_protect ? kSoftwareWriteProtect : 0U) |
                                (started ? 0U : kStopped) | (deferred_error ? kDeferredError : 0U) |
                                (space_watch.is_armed ? 0U : kScarcityTold) |
                                (mode.threshold_reporting ? 0U : kThresholdsUntold) |
                                (medium_state.allows_exit ? kAllowsExit : 0U) |
                                static_cast<std::uint32_t>(medium_state.kept) << kConditionShift;
    std::atomic_ref(memory->attentions).store(attentions.packed(), std::memory_order_release);
    std::atomic_ref(memory->state).store(state, std::memory_order_release);
    std::atomic_ref(memory->layout).store(UnitMemory::kLayout, std::memory_order_release);
}

// Whatever it says is possible, as far as it is looked at here.
void Unit::recall() {
    const UnitMemory& memory = *options.memory;
    const auto condition = static_cast<std::uint8_t>(memory.state >> kConditionShift);
    if (memory.layout != UnitMemory::kLayout ||
        condition > static_cast<std::uint8_t>(MediumState::Condition::kSanitizeFailed)) {
        remember();
        return;
    }
    mode.write_cache_enabled = (memory.state & kWriteCacheEnabled) != 0;
    mode.descriptor_sense = (memory.state & kDescriptorSense) != 0;
    mode.software_write_protect = (memory.state & kSoftwareWriteProtect) != 0;
    started = (memory.state & kStopped) == 0;
    mode.threshold_reporting = (memory.state & kThresholdsUntold) == 0;
    space_watch.is_armed = (memory.state & kScarcityTold) == 0;
    deferred_error = (memory.state & kDeferredError) != 0;
    attentions.unpack(memory.attentions);
    medium_state.allows_exit = (memory.state & kAllowsExit) != 0;
    medium_state.condition = static_cast<MediumState::Condition>(condition);
    medium_state.kept = medium_state.condition;
    medium_state.to_resume = is_rewrite(medium_state.condition);
}

void Unit::establish(AdditionalSense attention) {
    attentions.establish(attention);
    remember();
}

std::optional<Sense> Unit::take_pending(const Command& command) {
    if (command.replay) {
        return taken_before(*this, command);
    }
    std::optional<Sense> pending;
    std::uint64_t progress = 0;
    if (std::exchange(deferred_error, false)) {
        pending = deferred_write_error();
        progress = command_progress::kDeferredError;
    } else if (const auto attention = attentions.take()) {
        pending = attention_sense(*attention);
        progress = command_progress::kAttention | attention->packed();
    }
    if (pending) {
        if (command.progress != nullptr) {
            std::atomic_ref(*command.progress).store(progress, std::memory_order_release);
        }
        remember();
    }
    return pending;
}

}  // namespace lunkit::scsi
