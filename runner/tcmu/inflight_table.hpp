// SPDX-License-Identifier: Apache-2.0
// InflightTable: the commands that were fetched from a ring and are not completed yet.
//
// Everything a command consists of is copied here before it is acted on, because its entry in the
// ring may be overwritten while it runs (by the response of another command) and because shared
// memory may change between a check and a use. The memory is given by the caller and holds plain
// data with offsets, no pointers. It outlives the process (InflightFolder) and tells the successor
// of a daemon that died what was outstanding. To that end the order of stores is fixed:
//   fetch      the slot is filled, then its state becomes kFetched (release), then the fetch
//              position moves on, together with the sequence of the last slot that counts: one of a
//              later sequence was not taken, its entry will be fetched again.
//   execute    what may not be done twice keeps a record of its own in `progress`.
//   complete   the outcome is recorded, then the state becomes kFinished (release): the command is
//              not executed again, and its data may be cleared. completion_tail gets the present
//              cmd_tail, then the state becomes kCompleting (release); response and cmd_tail
//              follow; then the slot is freed.
//              In a kCompleting slot, cmd_tail still at completion_tail means: not answered yet.
//              (The tail cannot have come round to the same place: other commands are answered
//              when this slot is free.)
// What the memory holds at a take-over is checked like what a ring holds.
//
// A slot holds kInlineIovs iovecs; those of larger commands lie in an arena of contiguous runs. One
// thread: the device's queue. Nothing is allocated after make().
#pragma once

#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "core/memory_mapping.hpp"
#include "lunkit/result.hpp"
#include "tcmu/ring_layout.hpp"

namespace lunkit::tcmu {

inline constexpr std::size_t kCdbCapacity = 8 + 255;  ///< SPC-5 4.2.3: 7Fh, 8 + ADDITIONAL LENGTH
inline constexpr std::uint32_t kInlineIovs = 16;

/// A piece of the mapping: what an iovec in the ring says. Checked before it gets here.
struct RingRange {
    std::uint64_t offset;  ///< from the mapping's start
    std::uint64_t length;
};

enum class SlotState : std::uint32_t {
    kFree = 0,
    kFetched = 1,
    kFinished = 2,    ///< outcome recorded (rings without OOOC: waits for its turn)
    kCompleting = 3,  ///< response and cmd_tail are being written
    kOrphan = 4,      ///< still runs, but the kernel has forgotten it (reset_ring)
};

/// One command. Plain data: part of the table's layout (see kTableVersion).
struct Slot {
    static constexpr std::uint32_t kNoArena = UINT32_MAX;

    std::uint32_t state;        // SlotState
    std::uint32_t ring_offset;  // of its entry, from the ring's start
    std::uint32_t sequence;     // order of fetching, modulo 2^32
    std::uint16_t cmd_id;
    std::uint16_t cdb_length;
    std::uint32_t iov_count;   // Data-Out or Data-In
    std::uint32_t bidi_count;  // Data-In of a bidirectional command, behind the former
    std::uint32_t arena_run;   // first chunk of its iovecs, or kNoArena: they are in iov[]
    // outcome
    std::uint32_t completion_tail;
    std::uint32_t read_len;
    RingRange clear;         // Response::clear: of its data
    std::uint64_t progress;  // scsi::Command::progress
    std::uint8_t status;
    std::uint8_t uflags;
    std::uint8_t sense_length;
    std::array<std::uint8_t, 1> reserved;
    std::array<std::uint8_t, kSenseSize> sense;
    std::array<std::uint8_t, kCdbCapacity + 1> cdb;
    std::array<RingRange, kInlineIovs> iov;
};
static_assert(std::is_trivially_copyable_v<Slot> && sizeof(Slot) % 8 == 0);

class InflightTable {
  public:
    static constexpr std::uint64_t kMagic = 0x6c6b2d696e666c31;  // "lk-infl1"
    static constexpr std::uint32_t kTableVersion = 1;  ///< of Header, Slot and their meaning
    static constexpr std::uint32_t kChunkIovs = 64;    ///< of the arena

    struct Geometry {
        std::uint32_t slots = 1024;
        std::uint32_t arena_iovs = 0;  ///< largest command; rounded up to chunks
        [[nodiscard]] std::size_t bytes() const;
    };

    /// Formats `memory` (8-byte aligned, at least geometry.bytes()), which outlives the table.
    /// `mapping` is where the ranges of the commands lie.
    static Result<InflightTable> make(std::span<std::byte> memory, Geometry geometry,
                                      std::span<std::byte> mapping);
    /// Takes over what a predecessor left in `memory`, made with the same geometry; cmd_tail is
    /// where it left the ring's. Slots of commands that were never taken, were answered or are
    /// forgotten are free afterwards. The error says what in it is impossible; `memory` is of no
    /// use then.
    static Result<InflightTable> recover(std::span<std::byte> memory, Geometry geometry,
                                         std::span<std::byte> mapping, std::uint32_t cmd_tail);
    /// What `memory` holds is of no use to a successor from now on.
    static void retire(std::span<std::byte> memory);
    /// Why a successor may not take over from this memory; it may when none holds.
    enum class Doubt : std::uint8_t {
        kBroken = 1,   ///< the ring is
        kLost = 2,     ///< a page of the table is
        kSpoiled = 4,  ///< data of commands may have been overwritten (a reset while others ran)
    };
    void doubt(Doubt why, bool holds);

    /// A slot with room for so many iovecs; nothing when there is none now. Fill it and publish().
    [[nodiscard]] std::optional<std::uint32_t> claim(std::uint64_t iovs);
    /// More iovecs than any command of this table can have.
    [[nodiscard]] bool never_fits(std::uint64_t iovs) const { return iovs > arena_iovs(); }
    [[nodiscard]] Slot& at(std::uint32_t index) { return slots_[index]; }
    /// Where the iovecs of a claimed slot are to be written; as many as claimed.
    [[nodiscard]] std::span<RingRange> ranges(std::uint32_t index) {
        Slot& slot = slots_[index];
        RingRange* first = slot.arena_run == Slot::kNoArena
                               ? slot.iov.data()
                               : arena_ + std::size_t{slot.arena_run} * kChunkIovs;
        return {first, std::size_t{slot.iov_count} + slot.bidi_count};
    }
    /// The slot is complete and counts from now on.
    void publish(std::uint32_t index);
    /// Undoes claim() of a slot that was not published.
    void abandon(std::uint32_t index);
    /// All that was published counts from now on, and the next entry to fetch is here.
    void set_fetch_position(std::uint32_t position) {
        const std::uint64_t last = next_sequence_ - 1;
        std::atomic_ref(header_->fetched).store(last << 32U | position, std::memory_order_release);
    }
    [[nodiscard]] std::uint32_t fetch_position() const;
    /// The slots in use, in the order of fetching.
    [[nodiscard]] std::vector<std::uint32_t> in_order() const;

    /// The outcome is recorded.
    void finish(std::uint32_t index) { set_state(index, SlotState::kFinished); }
    /// Opens the bracket around a completion; `cmd_tail` is where its response goes.
    void begin_completion(std::uint32_t index, std::uint32_t cmd_tail) {
        slots_[index].completion_tail = cmd_tail;
        set_state(index, SlotState::kCompleting);
    }
    /// Closes it; the slot is free.
    void release(std::uint32_t index);
    /// The kernel has forgotten every command: those that still run become orphans, those that only
    /// waited for their turn are gone.
    void orphan_all();

    /// The same ranges as iovecs of this process. Data-Out or Data-In; then the Data-In of a
    /// bidirectional command. Valid until release().
    [[nodiscard]] std::span<const iovec> data_iovs(std::uint32_t index) {
        return {iovec_memory(index), slots_[index].iov_count};
    }
    [[nodiscard]] std::span<const iovec> bidi_iovs(std::uint32_t index) {
        const Slot& slot = slots_[index];
        return {iovec_memory(index) + slot.iov_count, slot.bidi_count};
    }

    [[nodiscard]] SlotState state_of(std::uint32_t index) const {
        return static_cast<SlotState>(slots_[index].state);
    }
    [[nodiscard]] std::uint32_t in_flight() const { return in_flight_; }
    /// Commands that were fetched after the slot's, modulo 2^32.
    [[nodiscard]] std::uint32_t fetched_after(std::uint32_t index) const {
        return next_sequence_ - 1 - slots_[index].sequence;
    }
    [[nodiscard]] std::uint32_t orphans() const { return orphans_; }
    [[nodiscard]] std::uint32_t slots() const { return slot_count_; }

  private:
    // The head of the memory; slots and arena follow. Part of the layout.
    struct Header {
        std::uint64_t magic;
        std::uint32_t version;
        std::uint32_t slot_size;
        std::uint32_t slot_count;
        std::uint32_t arena_iovs;
        std::uint64_t arena_offset;
        std::uint64_t fetched;     // low half: the fetch position; high half: the last sequence
        std::uint32_t slots_used;  // slots from here on were never touched
        std::array<std::uint32_t, 5> reserved;
    };
    static_assert(sizeof(Header) == 64);

    InflightTable() = default;
    static Result<InflightTable> over(std::span<std::byte> memory, Geometry geometry,
                                      std::span<std::byte> mapping);
    [[nodiscard]] Header header_for() const;
    [[nodiscard]] bool is_outstanding(const Slot& slot, std::uint32_t cmd_tail) const;
    [[nodiscard]] Status check_slot(std::uint32_t index) const;
    [[nodiscard]] Status take_back(std::uint32_t cmd_tail);
    void fill_iovecs(std::uint32_t index);
    [[nodiscard]] std::uint32_t arena_iovs() const { return arena_chunks_ * kChunkIovs; }
    [[nodiscard]] std::optional<std::uint32_t> find_run(std::uint32_t chunks) const;
    [[nodiscard]] bool is_run_free(std::uint32_t first, std::uint32_t chunks) const;
    [[nodiscard]] bool is_used(std::uint32_t chunk) const {
        return (used_chunks_[chunk / 64] >> (chunk % 64) & 1U) != 0;
    }
    void mark_run(std::uint32_t first, std::uint32_t chunks, bool used);
    void give_back(std::uint32_t index);
    void set_state(std::uint32_t index, SlotState state) {
        std::atomic_ref(slots_[index].state)
            .store(static_cast<std::uint32_t>(state), std::memory_order_release);
        // What the compiler moved up to before it, a process that dies between has done too early.
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    [[nodiscard]] static std::uint32_t chunks_for(std::uint64_t iovs) {
        return static_cast<std::uint32_t>((iovs + kChunkIovs - 1) / kChunkIovs);
    }
    [[nodiscard]] iovec* iovec_memory(std::uint32_t index) {
        auto* iovecs = reinterpret_cast<iovec*>(iovecs_.bytes().data());
        const Slot& slot = slots_[index];
        const std::size_t first =
            slot.arena_run == Slot::kNoArena
                ? std::size_t{index} * kInlineIovs
                : std::size_t{slot_count_} * kInlineIovs + std::size_t{slot.arena_run} * kChunkIovs;
        return iovecs + first;
    }

    Header* header_ = nullptr;
    Slot* slots_ = nullptr;
    RingRange* arena_ = nullptr;
    std::span<std::byte> mapping_;
    std::uint32_t slot_count_ = 0;
    std::uint32_t arena_chunks_ = 0;
    std::uint32_t in_flight_ = 0;
    std::uint32_t orphans_ = 0;
    std::uint8_t doubts_ = 0;
    std::uint32_t never_used_ = 0;  // slots from here on were never touched
    std::uint32_t next_sequence_ = 1;
    std::vector<std::uint32_t> free_;         // used before; the last freed is the first taken
    std::vector<std::uint64_t> used_chunks_;  // one bit each
    core::MemoryMapping iovecs_;              // of this process: kInlineIovs a slot, then the arena
};

}  // namespace lunkit::tcmu
