// SPDX-License-Identifier: Apache-2.0
#include "tcmu/inflight_table.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
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

Result<InflightTable> InflightTable::over(std::span<std::byte> memory, Geometry geometry,
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
    table.free_.reserve(geometry.slots);
    table.used_chunks_.resize((table.arena_chunks_ + 63) / 64);
    const std::size_t iovecs = std::size_t{geometry.slots} * kInlineIovs + table.arena_iovs();
    TRY(table.iovecs_, core::MemoryMapping::anonymous(iovecs * sizeof(iovec)));
    return table;
}

InflightTable::Header InflightTable::header_for() const {
    return {.magic = kMagic,
            .version = kTableVersion,
            .slot_size = sizeof(Slot),
            .slot_count = slot_count_,
            .arena_iovs = arena_iovs(),
            .arena_offset = slots_offset() + slot_count_ * sizeof(Slot),
            .fetched = 0,
            .slots_used = 0,
            .reserved = {}};
}

Result<InflightTable> InflightTable::make(std::span<std::byte> memory, Geometry geometry,
                                          std::span<std::byte> mapping) {
    TRY(InflightTable table, over(memory, geometry, mapping));
    retire(memory);
    Header header = table.header_for();
    const std::uint64_t magic = std::exchange(header.magic, 0);
    *table.header_ = header;
    std::atomic_ref(table.header_->magic).store(magic, std::memory_order_release);
    return table;
}

void InflightTable::retire(std::span<std::byte> memory) {
    auto& magic = reinterpret_cast<Header*>(memory.data())->magic;
    std::atomic_ref(magic).store(0, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

Result<InflightTable> InflightTable::recover(std::span<std::byte> memory, Geometry geometry,
                                             std::span<std::byte> mapping, std::uint32_t cmd_tail) {
    TRY(InflightTable table, over(memory, geometry, mapping));
    Header expected = table.header_for();
    expected.fetched = table.header_->fetched;
    expected.slots_used = table.header_->slots_used;
    if (table.header_->magic != expected.magic) {
        return failure(ENOENT, "there is no in-flight table");
    }
    if (std::memcmp(table.header_, &expected, sizeof expected) != 0) {
        return failure(EPROTO, "the in-flight table is of another version or size");
    }
    CHECK(table.take_back(cmd_tail));
    return table;
}

bool InflightTable::is_outstanding(const Slot& slot, std::uint32_t cmd_tail) const {
    switch (static_cast<SlotState>(slot.state)) {
        case SlotState::kFree:
        case SlotState::kOrphan:
            return false;
        case SlotState::kCompleting:
            if (slot.completion_tail != cmd_tail) {
                return false;
            }
            break;
        default:
            break;
    }
    const auto last = static_cast<std::uint32_t>(header_->fetched >> 32U);
    return static_cast<std::int32_t>(slot.sequence - last) <= 0;
}

// Everything that is used as an index or a length later.
Status InflightTable::check_slot(std::uint32_t index) const {
    const Slot& slot = slots_[index];
    const std::uint64_t iovs = std::uint64_t{slot.iov_count} + slot.bidi_count;
    const bool in_arena = slot.arena_run != Slot::kNoArena;
    bool possible = slot.state <= static_cast<std::uint32_t>(SlotState::kOrphan) &&
                    slot.cdb_length > 0 && slot.cdb_length <= kCdbCapacity &&
                    slot.sense_length <= kSenseSize;
    if (in_arena) {
        possible = possible && iovs <= arena_iovs() && slot.arena_run < arena_chunks_ &&
                   chunks_for(iovs) <= arena_chunks_ - slot.arena_run && chunks_for(iovs) > 0;
    } else {
        possible = possible && iovs <= kInlineIovs;
    }
    if (!possible) {
        return failure(EPROTO, "the in-flight table holds a command that cannot be");
    }
    const RingRange* range =
        in_arena ? arena_ + std::size_t{slot.arena_run} * kChunkIovs : slot.iov.data();
    for (const RingRange* end = range + iovs; range != end; ++range) {
        if (range->length > mapping_.size() || range->offset > mapping_.size() - range->length) {
            return failure(EPROTO, "the in-flight table names data outside of the mapping");
        }
    }
    return {};
}

Status InflightTable::take_back(std::uint32_t cmd_tail) {
    if (header_->slots_used > slot_count_) {
        return failure(EPROTO, "the in-flight table uses more slots than it has");
    }
    std::vector<bool> outstanding(header_->slots_used);
    for (std::uint32_t index = 0; index < outstanding.size(); ++index) {
        outstanding[index] = is_outstanding(slots_[index], cmd_tail);
        if (!outstanding[index]) {
            continue;
        }
        CHECK(check_slot(index));
        const Slot& slot = slots_[index];
        ++in_flight_;
        if (slot.arena_run != Slot::kNoArena) {
            const std::uint32_t chunks =
                chunks_for(std::uint64_t{slot.iov_count} + slot.bidi_count);
            if (!is_run_free(slot.arena_run, chunks)) {
                return failure(EPROTO, "two commands of the in-flight table share their iovecs");
            }
            mark_run(slot.arena_run, chunks, true);
        }
        fill_iovecs(index);
    }
    next_sequence_ = static_cast<std::uint32_t>(header_->fetched >> 32U) + 1;
    never_used_ = header_->slots_used;
    for (std::uint32_t index = never_used_; index-- > 0;) {
        if (!outstanding[index]) {
            set_state(index, SlotState::kFree);
            free_.push_back(index);
        }
    }
    return {};
}

void InflightTable::doubt(Doubt why, bool holds) {
    const auto bit = std::to_underlying(why);
    doubts_ = static_cast<std::uint8_t>(holds ? doubts_ | bit : doubts_ & ~bit);
    std::atomic_ref(header_->magic).store(doubts_ == 0 ? kMagic : 0, std::memory_order_release);
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
        set_state(index, SlotState::kFree);  // of a table that was there before, it may say else
        ++never_used_;
        std::atomic_ref(header_->slots_used).store(never_used_, std::memory_order_release);
    } else {
        index = free_.back();
        free_.pop_back();
    }
    Slot& slot = slots_[index];
    slot.arena_run = run;
    slot.iov_count = static_cast<std::uint32_t>(iovs);
    slot.bidi_count = 0;
    slot.progress = 0;
    return index;
}

void InflightTable::fill_iovecs(std::uint32_t index) {
    iovec* iov = iovec_memory(index);
    for (const RingRange& range : ranges(index)) {
        *iov++ = {mapping_.data() + range.offset, range.length};
    }
}

void InflightTable::publish(std::uint32_t index) {
    fill_iovecs(index);
    slots_[index].sequence = next_sequence_++;
    set_state(index, SlotState::kFetched);
    ++in_flight_;
}

void InflightTable::abandon(std::uint32_t index) {
    give_back(index);
}

std::uint32_t InflightTable::fetch_position() const {
    return static_cast<std::uint32_t>(header_->fetched);
}

std::vector<std::uint32_t> InflightTable::in_order() const {
    std::vector<std::uint32_t> slots;
    slots.reserve(in_flight_);
    for (std::uint32_t index = 0; index < never_used_; ++index) {
        if (state_of(index) != SlotState::kFree) {
            slots.push_back(index);
        }
    }
    std::ranges::sort(slots, {}, [this](std::uint32_t index) {
        return static_cast<std::int32_t>(slots_[index].sequence - next_sequence_);
    });
    return slots;
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
        const SlotState state = state_of(index);
        if (state == SlotState::kFinished) {
            release(index);
        } else if (state != SlotState::kFree) {
            set_state(index, SlotState::kOrphan);
        }
    }
    orphans_ = in_flight_;
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

bool InflightTable::is_run_free(std::uint32_t first, std::uint32_t chunks) const {
    for (std::uint32_t chunk = first; chunk < first + chunks; ++chunk) {
        if (is_used(chunk)) {
            return false;
        }
    }
    return true;
}

std::optional<std::uint32_t> InflightTable::find_run(std::uint32_t chunks) const {
    std::uint32_t length = 0;
    for (std::uint32_t chunk = 0; chunk < arena_chunks_; ++chunk) {
        length = is_used(chunk) ? 0 : length + 1;
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

}  // namespace lunkit::tcmu
