// SPDX-License-Identifier: Apache-2.0
// ServedRing: a device's ring with all that it lies in: the uio node, its mapping, and the memory
// of the in-flight table, both guarded against pages that are not there.
#pragma once

#include <cstdint>
#include <optional>

#include "core/memory_mapping.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"
#include "tcmu/inflight_folder.hpp"
#include "tcmu/ring.hpp"
#include "tcmu/sigbus_guard.hpp"

namespace lunkit::tcmu {

/// The node of a device: the descriptor (non-blocking) that tells of commands and takes kicks, and
/// the mapping with mailbox, ring and data area.
struct UioNode {
    UniqueFd fd;
    core::MemoryMapping map;
};

/// Made in steps: open(), then resume() or attach(). Any thread, one at a time.
class ServedRing {
  public:
    static constexpr std::uint32_t kSlots = 1024;  ///< commands in flight

    ServedRing() = default;
    /// Checks the mailbox.
    static Result<ServedRing> open(UioNode node, std::uint32_t slots = kSlots);

    [[nodiscard]] const MailboxInfo& info() const { return info_; }
    [[nodiscard]] Result<RingPositions> positions() const;
    /// What the memory of the table has to hold.
    [[nodiscard]] std::size_t table_bytes() const { return geometry_.bytes(); }

    /// Goes on with what a predecessor left in `memory`. After an error the ring is not begun; the
    /// memory is kept, for what the unit remembers in it.
    Status resume(TableMemory memory);
    /// Whether there is a memory that could not be resumed; all its pages are.
    [[nodiscard]] bool keeps_memory() const;
    /// The table in it is of no use to any successor either.
    void retire_table();
    /// Begins at cmd_tail with an empty table, in that memory.
    Status attach();
    /// The same, in `memory`, which is zeroed; what the unit remembers moves into it.
    Status attach(TableMemory memory);

    [[nodiscard]] bool is_begun() const { return ring_.has_value(); }
    /// Once begun.
    [[nodiscard]] Ring& ring() { return *ring_; }
    [[nodiscard]] int fd() const { return node_.fd.get(); }
    /// Lies beside the table, and lives as long.
    [[nodiscard]] scsi::UnitMemory& unit_memory() { return memory_.unit(); }
    /// A page of mailbox, ring or data area was missing.
    [[nodiscard]] bool page_missing() const { return guard_.faulted(); }
    /// A page of the table was: it is no longer what a successor will see.
    [[nodiscard]] bool table_lost() const { return table_guard_.faulted(); }

  private:
    Status watch(TableMemory memory);

    UioNode node_;
    SigbusGuard guard_;  // goes before the mapping
    MailboxInfo info_;
    InflightTable::Geometry geometry_;
    TableMemory memory_;
    SigbusGuard table_guard_;
    std::optional<Ring> ring_;
};

}  // namespace lunkit::tcmu
