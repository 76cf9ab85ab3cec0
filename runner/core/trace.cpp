// SPDX-License-Identifier: Apache-2.0
#include "core/trace.hpp"

#include <cerrno>
#include <chrono>

namespace lunkit::core {

TraceRecord trace_record(const CommandEnd& end, std::uint64_t tag) {
    const auto nanoseconds = [](auto duration) {
        return static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count());
    };
    return {.ended_at = nanoseconds(std::chrono::system_clock::now().time_since_epoch()),
            .took = nanoseconds(end.took),
            .tag = tag,
            .bytes = end.bytes,
            .error = end.error.packed(),
            .kind = end.kind};
}

void TraceTap::put(const TraceRecord& record) {
    auto* const cells = cells_.load(std::memory_order_acquire);
    if (cells == nullptr) {
        return;  // seen as watched before the buffer is
    }
    std::uint64_t place = put_.load(std::memory_order_relaxed);
    Cell* cell = nullptr;
    for (;;) {
        cell = &(*cells)[place % kRecords];
        const std::uint64_t turn = cell->turn.load(std::memory_order_acquire);
        if (turn < place) {  // it holds what was not taken yet
            lost_.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        if (turn > place) {  // another thread was faster
            place = put_.load(std::memory_order_relaxed);
        } else if (put_.compare_exchange_weak(place, place + 1, std::memory_order_relaxed)) {
            break;
        }
    }
    cell->record = record;
    cell->record.lost = lost_.exchange(0, std::memory_order_relaxed);
    cell->turn.store(place + 1, std::memory_order_release);
}

Status TraceTap::start() {
    if (is_watched()) {
        return failure(EBUSY, "somebody traces this device already");
    }
    if (!memory_) {
        memory_ = std::make_unique<std::array<Cell, kRecords>>();
        for (std::size_t i = 0; i < kRecords; ++i) {
            (*memory_)[i].turn.store(i, std::memory_order_relaxed);
        }
        cells_.store(memory_.get(), std::memory_order_release);
    }
    TraceRecord old;
    while (take({&old, 1}) == 1) {  // of the trace before
    }
    lost_.store(0, std::memory_order_relaxed);
    watched_.store(true, std::memory_order_release);
    return {};
}

std::size_t TraceTap::take(std::span<TraceRecord> room) {
    std::size_t count = 0;
    for (; count < room.size(); ++count, ++taken_) {
        Cell& cell = (*memory_)[taken_ % kRecords];
        if (cell.turn.load(std::memory_order_acquire) != taken_ + 1) {
            break;
        }
        room[count] = cell.record;
        cell.turn.store(taken_ + kRecords, std::memory_order_release);
    }
    return count;
}

}  // namespace lunkit::core
