// SPDX-License-Identifier: Apache-2.0
#include "core/device_counters.hpp"

#include "core/service.hpp"

namespace lunkit::core {

void DeviceCounters::ended(const CommandEnd& end) {
    switch (end.kind) {
        case CommandClass::kRead:
            count(read_commands);
            count(read_bytes, end.bytes);
            break;
        case CommandClass::kWrite:
            count(write_commands);
            count(write_bytes, end.bytes);
            break;
        case CommandClass::kOther:
            count(other_commands);
            break;
    }
    latency[static_cast<std::size_t>(end.kind)].record(end.took);
    if (!end.error.is_success()) {
        count(errors);
        error_counts.add(end.error);
    }
}

void tell_counters(std::span<const DeviceCounters* const> parts, DeviceStatus& status) {
    std::array<LatencyCounts, kCommandClasses> latency;
    const auto add = [](std::uint64_t& total, const std::atomic<std::uint64_t>& counter) {
        total += counter.load(std::memory_order_relaxed);
    };
    for (const DeviceCounters* const part : parts) {
        add(status.read_commands, part->read_commands);
        add(status.read_bytes, part->read_bytes);
        add(status.write_commands, part->write_commands);
        add(status.write_bytes, part->write_bytes);
        add(status.other_commands, part->other_commands);
        add(status.errors, part->errors);
        add(status.in_flight, part->in_flight);
        add(status.kicks, part->kicks);
        for (std::size_t i = 0; i < latency.size(); ++i) {
            latency[i].add(part->latency[i]);
        }
        part->error_counts.tell(status.error_counts);
    }
    for (std::size_t i = 0; i < latency.size(); ++i) {
        status.latency[i] = latency[i].summary();
    }
}

}  // namespace lunkit::core
