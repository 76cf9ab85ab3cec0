// SPDX-License-Identifier: Apache-2.0
// Ring: the user side of a TCMU command ring, as pure memory.
//
// The kernel appends entries and moves cmd_head; we fetch them from a position of our own, which
// runs ahead of cmd_tail. A command that is done is answered in the entry *at cmd_tail*, whoever
// that entry once belonged to, with the cmd_id rewritten (OOOC); so the tail moves by one command
// entry for each command that ends, in whatever order they end. Entries that are no command (PAD,
// TMR) are stepped over. A ring without OOOC takes the answers in the order of the entries; there
// an outcome waits in its slot for its turn.
//
//      cmd_tail            fetch position          cmd_head
//   -------|--- in flight -------|--- not yet fetched ---|-------
//
// Nothing in the memory is trusted. Every number is read once, checked, and then used from the
// copy; what cannot be makes the ring "broken": no more is fetched, what is in flight is still
// answered as long as the entries at the tail make sense. action/reset_ring (which zeroes both
// positions) heals it.
//
// One thread, the device's queue; the other side is the kernel. Calls the kernel only by memory:
// the kick is the device's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lunkit/io_request.hpp"
#include "lunkit/result.hpp"
#include "tcmu/inflight_table.hpp"
#include "tcmu/ring_layout.hpp"

namespace lunkit::tcmu {

/// What the mailbox promises; read once, when the ring is attached.
struct MailboxInfo {
    std::uint16_t version = 0;
    std::uint16_t flags = 0;  ///< mailbox::kOutOfOrder, ...; 0 in version 1
    std::uint32_t cmdr_off = 0;
    std::uint32_t cmdr_size = 0;

    /// Checks what `map` begins with; the error says what is impossible.
    static Result<MailboxInfo> read(std::span<const std::byte> map);
    [[nodiscard]] std::uint64_t data_offset() const { return std::uint64_t{cmdr_off} + cmdr_size; }
};

/// Both ends of what is in the ring, from its start; 8-byte aligned places within it.
struct RingPositions {
    std::uint32_t head = 0;  ///< cmd_head: the kernel's
    std::uint32_t tail = 0;  ///< cmd_tail: ours

    static Result<RingPositions> read(std::span<const std::byte> map, const MailboxInfo& info);
    [[nodiscard]] bool is_empty() const { return head == tail; }
};

/// How a command ended.
struct Response {
    std::uint8_t status = 0;                   ///< SAM-5 status code
    std::span<const std::uint8_t> sense = {};  ///< at most kSenseSize bytes
    /// Bytes of Data-In; 0: all of it (the field is not sent). Only where the mailbox has READ_LEN.
    std::uint32_t read_len = 0;
    /// Bytes of the command's data that become zeros before the answer is given, but not before the
    /// outcome is recorded: the command would be repeated without them. The Data-In of a
    /// bidirectional command is cleared always.
    ByteRange clear = {};
};

/// What fetch() found.
struct Fetched {
    enum class Kind : std::uint8_t {
        kNothing,    ///< the ring is empty up to cmd_head
        kCommand,    ///< `slot` holds a new command
        kSpoiled,    ///< the same, but its data may have been overwritten: answer BUSY
        kTmr,        ///< the kernel tells of a task management function
        kUnknownOp,  ///< an entry of op `type`; it is answered in its turn
        kNoRoom,     ///< there is more, but no slot for it now
        kReset,      ///< somebody has reset the ring: all in flight are orphans
    };
    Kind kind = Kind::kNothing;
    std::uint32_t slot = 0;
    std::uint8_t type = 0;  ///< kTmr: TCMU_TMR_*
    /// kTmr: the commands it names; until the next fetch().
    std::span<const std::uint16_t> cmd_ids = {};
};

class Ring {
  public:
    /// Goes on at cmd_tail. `map` outlives the ring; `table` was made for it, with
    /// table_geometry().
    static Result<Ring> attach(std::span<std::byte> map, InflightTable table);
    /// Goes on where a predecessor was: `table` is what it left (InflightTable::recover()). What it
    /// had the outcome of is answered; the rest, table().in_order(), is to be executed (again) and
    /// completed before the first fetch(). The error says why table and ring cannot be of the same
    /// moment.
    static Result<Ring> resume(std::span<std::byte> map, InflightTable table);
    /// The in-flight table that fits any command of this ring.
    static InflightTable::Geometry table_geometry(const MailboxInfo& info, std::uint32_t slots);

    /// The next thing in the ring. "ring is broken: ..." ends it: every later call says the same
    /// until the ring is reset.
    Result<Fetched> fetch();
    /// Whether cmd_head has moved beyond what was fetched (or the ring was reset).
    [[nodiscard]] bool has_more() const;

    /// Ends a command and frees its slot (in a ring without OOOC: as soon as its turn comes). The
    /// outcome of an orphan is dropped, also when the reset shows only now (the next fetch() tells
    /// of it). The error: the tail makes no sense any more.
    Status complete(std::uint32_t slot, const Response& response);

    /// Whether the tail moved since the last call: the kernel wants a kick.
    [[nodiscard]] bool take_tail_moved();

    [[nodiscard]] InflightTable& table() { return table_; }
    [[nodiscard]] const MailboxInfo& info() const { return info_; }
    [[nodiscard]] bool has(std::uint16_t flag) const { return (info_.flags & flag) != 0; }
    [[nodiscard]] std::uint32_t tail() const { return tail_; }

  private:
    struct Entry {
        std::uint32_t position;  // from the ring's start
        std::uint32_t length;
        std::uint32_t op;
        std::uint32_t room;  // that its length must not exceed
        bool is_possible;
    };
    struct CdbPlace {
        std::uint64_t offset;  // from the mapping's start
        std::size_t room;      // in the entry; 0: it lies elsewhere
    };
    struct Counts {
        std::uint64_t iovs;
        std::uint64_t bidi;
    };

    Ring(std::span<std::byte> map, InflightTable table, const MailboxInfo& info);

    // Reads of shared memory: one load each, so that what was checked is what is used.
    template <typename T>
    [[nodiscard]] T load(std::size_t offset) const;
    template <typename T>
    void store(std::size_t offset, T value);
    [[nodiscard]] std::uint32_t load_head() const;
    void publish_tail(std::uint32_t tail);

    // What is done for each command says yes or no; why not is told apart from it.
    enum class Moved : std::uint8_t { kWell, kByReset, kImpossibly };
    [[nodiscard]] Moved have_moved(std::uint32_t head, std::uint32_t tail) const;
    [[nodiscard]] std::string impossible_move(std::uint32_t head, std::uint32_t tail) const;
    [[nodiscard]] Entry entry_at(std::uint32_t position, std::uint32_t limit) const;
    [[nodiscard]] static std::string impossible_entry(const Entry& entry);
    // False: broken_ says why.
    [[nodiscard]] bool take(const Entry& entry, Fetched& taken);
    [[nodiscard]] bool take_command(const Entry& entry, Fetched& taken);
    [[nodiscard]] bool take_tmr(const Entry& entry, Fetched& taken);
    [[nodiscard]] Counts load_counts(const Entry& entry) const;
    [[nodiscard]] bool fit(const Counts& counts, const Entry& entry) const;
    [[nodiscard]] bool copy_ranges(const Entry& entry, std::uint32_t slot);
    [[nodiscard]] CdbPlace cdb_place(const Entry& entry) const;
    [[nodiscard]] bool copy_cdb(const CdbPlace& place, Slot& slot) const;
    Fetched restart();
    void spoil(Fetched& taken);

    [[nodiscard]] Status check_resumed(std::uint32_t head) const;
    [[nodiscard]] Status check_left_slot(const Slot& slot, std::uint32_t index);
    [[nodiscard]] bool is_entry_of(std::uint32_t index);
    [[nodiscard]] Status answer_recorded();

    [[nodiscard]] bool step_over_fillers();
    [[nodiscard]] bool first_fits_answer();
    void notice_reset();
    void record(std::uint32_t slot, const Response& response);
    void clear_data(std::uint32_t slot);
    Status answer(std::uint32_t slot);
    Status answer_those_in_turn();
    void write_response(std::size_t at, const Slot& slot);
    [[gnu::cold, gnu::noinline]] bool breaks(const std::string& why);
    [[gnu::cold, gnu::noinline]] bool breaks(const Entry& impossible_one);
    [[nodiscard]] std::unexpected<Error> broken() const;

    [[nodiscard]] std::size_t map_offset(std::uint32_t position) const {
        return std::size_t{info_.cmdr_off} + position;
    }
    // Of a position in the ring and a length of at most all of it.
    [[nodiscard]] std::uint32_t advanced(std::uint32_t position, std::uint32_t length) const {
        const std::uint64_t next = std::uint64_t{position} + length;
        return static_cast<std::uint32_t>(next < info_.cmdr_size ? next : next - info_.cmdr_size);
    }
    [[nodiscard]] std::uint32_t distance(std::uint32_t from, std::uint32_t to) const {
        return to >= from ? to - from : info_.cmdr_size - from + to;
    }

    std::span<std::byte> map_;
    InflightTable table_;
    MailboxInfo info_;
    const EntryLayout* layout_;
    std::uint32_t fetch_ = 0;
    std::uint32_t seen_head_ = 0;  // where cmd_head was
    std::uint32_t tail_ = 0;
    Entry first_{};  // the command at the tail, when it was looked for; else not possible
    bool tail_moved_ = false;
    bool reset_untold_ = false;  // noticed by complete(), to be told by fetch()
    // A reset while commands ran: what the kernel has queued until the last of them ended shares
    // its data areas with them, and so may the command that it was just making.
    bool had_orphans_ = false;
    bool spoiled_ = false;
    std::optional<std::uint32_t> spoiled_until_;  // nothing: only that last one is left
    std::string broken_;                          // why; empty: it is not
    std::vector<std::uint16_t> tmr_cmd_ids_;      // of the last TMR
    // Without OOOC: slots in the order of their entries (a circle as large as the table).
    std::vector<std::uint32_t> order_;
    std::size_t order_first_ = 0;
    std::size_t order_count_ = 0;
};

}  // namespace lunkit::tcmu
