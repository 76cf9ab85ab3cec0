// SPDX-License-Identifier: Apache-2.0
#include "tcmu/inflight_table.hpp"

#include <atomic>
#include <cerrno>
#include <utility>

#include "lunkit/try.hpp"

namespace lunkit::tcmu {

namespace {

std::size_t slots_offset() {
    return 64;
}

}  // namespace

std::size_t InflightTable::Geometry::bytes() const {
    return slots_offset() + slots * sizeof(Slot) +
           std::size_t{chunks_for(arena_iovs)} * kChunkIovs * sizeof(RingRange);
}

Result<InflightTable> InflightTable::make(std::span<std::byte> memory, Geometry geometry,
                                          std::span<std::byte> mapping) {
    if (memory.size() < geometry.bytes() || geometry.slots == 0) {
        return failure(EINVAL, "the memory of the in-flight table is too small");
    }
    InflightTable table;
    table.slot_count_ = geometry.slots;
    table.arena_chunks_ = chunks_for(geometry.arena_iovs);
    table.mapping_ = mapping;
    table.header_ = reinterpret_cast<Header*>(memory.data());
    table.slots_ = reinterpret_cast<Slot*>(memory.data() + slots_offset());
    const std::size_t arena_offset = slots_offset() + geometry.slots * sizeof(Slot);
    table.arena_ = reinterpret_cast<RingRange*>(memory.data() + arena_offset);
    *table.header_ = Header{.magic = kMagic,
                            .version = kTableVersion,
                            .slot_size = sizeof(Slot),
                            .slot_count = geometry.slots,
                            .arena_iovs = table.arena_iovs(),
                            .arena_offset = arena_offset,
                            .fetch_position = 0,
                            .reserved = {}};
    table.free_.reserve(geometry.slots);
    table.used_chunks_.resize((table.arena_chunks_ + 63) / 64);
    const std::size_t iovecs = std::size_t{geometry.slots} * kInlineIovs + table.arena_iovs();
    TRY(table.iovecs_, MemoryMapping::anonymous(iovecs * sizeof(iovec)));
    return table;
}

std::optional<std::uint32_t> InflightTable::claim(std::uint64_t iovs) {
    if (free_.empty() && never_used_ == slot_count_) {
        return std::nullopt;
    }
    std::uint32_t run = Slot::kNoArena;
    if (iovs > kInlineIovs) {
        const std::optional<std::uint32_t> found = find_run(chunks_for(iovs));
        if (!found) {
            return std::nullopt;
        }
        run = *found;
        mark_run(run, chunks_for(iovs), true);
    }
    std::uint32_t index = never_used_;
    if (free_.empty()) {
        ++never_used_;
    } else {
        index = free_.back();
        free_.pop_back();
    }
    Slot& slot = slots_[index];
    slot.arena_run = run;
    slot.iov_count = static_cast<std::uint32_t>(iovs);
    slot.bidi_count = 0;
    return index;
}

Slot& InflightTable::at(std::uint32_t index) {
    return slots_[index];
}

std::span<RingRange> InflightTable::ranges(std::uint32_t index) {
    Slot& slot = slots_[index];
    RingRange* first = slot.arena_run == Slot::kNoArena
                           ? slot.iov.data()
                           : arena_ + std::size_t{slot.arena_run} * kChunkIovs;
    return {first, std::size_t{slot.iov_count} + slot.bidi_count};
}

void InflightTable::publish(std::uint32_t index) {
    iovec* iov = iovec_memory(index);
    for (const RingRange& range : ranges(index)) {
        *iov++ = {mapping_.data() + range.offset, range.length};
    }
    slots_[index].sequence = next_sequence_++;
    set_state(index, SlotState::kFetched);
    ++in_flight_;
}

void InflightTable::abandon(std::uint32_t index) {
    give_back(index);
}

void InflightTable::set_fetch_position(std::uint32_t position) {
    std::atomic_ref(header_->fetch_position).store(position, std::memory_order_release);
}

void InflightTable::begin_completion(std::uint32_t index, std::uint32_t cmd_tail) {
    slots_[index].completion_tail = cmd_tail;
    set_state(index, SlotState::kCompleting);
}

void InflightTable::release(std::uint32_t index) {
    if (slots_[index].state == static_cast<std::uint32_t>(SlotState::kOrphan)) {
        --orphans_;
    }
    set_state(index, SlotState::kFree);
    --in_flight_;
    give_back(index);
}

void InflightTable::orphan_all() {
    for (std::uint32_t index = 0; index < never_used_; ++index) {
        const auto state = static_cast<SlotState>(slots_[index].state);
        if (state == SlotState::kFinished) {
            release(index);
        } else if (state != SlotState::kFree) {
            set_state(index, SlotState::kOrphan);
        }
    }
    orphans_ = in_flight_;
}

std::span<const iovec> InflightTable::data_iovs(std::uint32_t index) {
    return {iovec_memory(index), slots_[index].iov_count};
}

std::span<const iovec> InflightTable::bidi_iovs(std::uint32_t index) {
    const Slot& slot = slots_[index];
    return {iovec_memory(index) + slot.iov_count, slot.bidi_count};
}

void InflightTable::give_back(std::uint32_t index) {
    Slot& slot = slots_[index];
    if (slot.arena_run != Slot::kNoArena) {
        mark_run(slot.arena_run, chunks_for(std::uint64_t{slot.iov_count} + slot.bidi_count),
                 false);
        slot.arena_run = Slot::kNoArena;
    }
    free_.push_back(index);  // within what was reserved
}

void InflightTable::set_state(std::uint32_t index, SlotState state) {
    std::atomic_ref(slots_[index].state)
        .store(static_cast<std::uint32_t>(state), std::memory_order_release);
}

std::optional<std::uint32_t> InflightTable::find_run(std::uint32_t chunks) const {
    std::uint32_t length = 0;
    for (std::uint32_t chunk = 0; chunk < arena_chunks_; ++chunk) {
        const bool used = (used_chunks_[chunk / 64] >> (chunk % 64) & 1U) != 0;
        length = used ? 0 : length + 1;
        if (length == chunks) {
            return chunk + 1 - chunks;
        }
    }
    return std::nullopt;
}

void InflightTable::mark_run(std::uint32_t first, std::uint32_t chunks, bool used) {
    for (std::uint32_t chunk = first; chunk < first + chunks; ++chunk) {
        const std::uint64_t bit = std::uint64_t{1} << (chunk % 64);
        used_chunks_[chunk / 64] =
            used ? used_chunks_[chunk / 64] | bit : used_chunks_[chunk / 64] & ~bit;
    }
}

iovec* InflightTable::iovec_memory(std::uint32_t index) {
    auto* iovecs = reinterpret_cast<iovec*>(iovecs_.bytes().data());
    const Slot& slot = slots_[index];
    const std::size_t first =
        slot.arena_run == Slot::kNoArena
            ? std::size_t{index} * kInlineIovs
            : std::size_t{slot_count_} * kInlineIovs + std::size_t{slot.arena_run} * kChunkIovs;
    return iovecs + first;
}

}  // namespace lunkit::tcmu
