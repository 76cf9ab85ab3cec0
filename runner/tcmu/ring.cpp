// SPDX-License-Identifier: Apache-2.0
#include "tcmu/ring.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "lunkit/io_request.hpp"
#include "lunkit/try.hpp"
#include "scsi/logical_unit.hpp"

namespace lunkit::tcmu {

namespace {

template <typename T>
T read_once(const std::byte* at) {
    // Only a load: atomic_ref of const does not exist before C++26.
    auto* field = reinterpret_cast<T*>(const_cast<std::byte*>(at));
    return std::atomic_ref<T>(*field).load(std::memory_order_relaxed);
}

constexpr Response kBusy{.status = static_cast<std::uint8_t>(scsi::StatusCode::kBusy),
                         .clear = {0, std::numeric_limits<std::uint64_t>::max()}};

std::unexpected<Error> impossible(const std::string& why) {
    return failure(EPROTO, "ring is broken: " + why);
}

}  // namespace

Result<MailboxInfo> MailboxInfo::read(std::span<const std::byte> map) {
    if (map.size() < mailbox::kSize) {
        return impossible(fmt::format("a mapping of {} bytes holds no mailbox", map.size()));
    }
    MailboxInfo info;
    info.version = read_once<std::uint16_t>(map.data() + mailbox::kVersion);
    info.flags = read_once<std::uint16_t>(map.data() + mailbox::kFlags);
    info.cmdr_off = read_once<std::uint32_t>(map.data() + mailbox::kCmdrOff);
    info.cmdr_size = read_once<std::uint32_t>(map.data() + mailbox::kCmdrSize);
    if (info.version != kEntryVersion1.version && info.version != kEntryVersion2.version) {
        return impossible(fmt::format("mailbox version {} is neither 1 nor 2", info.version));
    }
    if (info.version == kEntryVersion1.version) {
        info.flags = 0;  // the field was padding
    }
    if (info.cmdr_off < mailbox::kCmdTail + sizeof(std::uint32_t) ||
        info.cmdr_off % kEntryAlignment != 0) {
        return impossible(fmt::format("the ring begins at {}", info.cmdr_off));
    }
    if (info.cmdr_size < 2 * kEntryVersion2.size || info.cmdr_size % kEntryAlignment != 0 ||
        !ByteRange::fits(info.cmdr_off, info.cmdr_size, map.size())) {
        return impossible(fmt::format("a ring of {} bytes at {} in a mapping of {}", info.cmdr_size,
                                      info.cmdr_off, map.size()));
    }
    return info;
}

Result<RingPositions> RingPositions::read(std::span<const std::byte> map, const MailboxInfo& info) {
    const RingPositions positions{.head = read_once<std::uint32_t>(map.data() + mailbox::kCmdHead),
                                  .tail = read_once<std::uint32_t>(map.data() + mailbox::kCmdTail)};
    for (const std::uint32_t position : {positions.head, positions.tail}) {
        if (position >= info.cmdr_size || position % kEntryAlignment != 0) {
            return impossible(
                fmt::format("cmd_head is {}, cmd_tail is {}", positions.head, positions.tail));
        }
    }
    return positions;
}

InflightTable::Geometry Ring::table_geometry(const MailboxInfo& info, std::uint32_t slots) {
    // The kernel refuses a command whose entry takes more than half of the ring.
    return {.slots = slots, .arena_iovs = info.cmdr_size / 2 / std::uint32_t{kIovSize}};
}

Ring::Ring(std::span<std::byte> map, InflightTable table, const MailboxInfo& info)
    : map_(map),
      table_(std::move(table)),
      info_(info),
      layout_(info.version == kEntryVersion1.version ? &kEntryVersion1 : &kEntryVersion2) {
    if (!has(mailbox::kOutOfOrder)) {
        order_.resize(table_.slots());
    }
}

Result<Ring> Ring::attach(std::span<std::byte> map, InflightTable table) {
    TRY(const MailboxInfo info, MailboxInfo::read(map));
    TRY(const RingPositions positions, RingPositions::read(map, info));
    Ring ring(map, std::move(table), info);
    ring.tail_ = positions.tail;
    ring.fetch_ = positions.tail;
    ring.seen_head_ = positions.tail;
    ring.table_.set_fetch_position(positions.tail);
    ring.tail_moved_ = true;  // a predecessor may have died before it told the kernel
    return ring;
}

Result<Ring> Ring::resume(std::span<std::byte> map, InflightTable table) {
    TRY(const MailboxInfo info, MailboxInfo::read(map));
    TRY(const RingPositions positions, RingPositions::read(map, info));
    Ring ring(map, std::move(table), info);
    ring.tail_ = positions.tail;
    ring.fetch_ = ring.table_.fetch_position();
    ring.seen_head_ = ring.fetch_;
    CHECK(ring.check_resumed(positions.head));
    for (const std::uint32_t index : ring.table_.in_order()) {
        CHECK(ring.check_left_slot(ring.table_.at(index), index));
        if (!ring.is_entry_of(index)) {
            return failure(EPROTO, "the ring holds other commands than the in-flight table");
        }
    }
    CHECK(ring.answer_recorded());
    ring.tail_moved_ = true;  // the predecessor may have died before it told the kernel
    return ring;
}

// As many commands as are in flight have their entries between the tail and the fetch position,
// whoever answers where.
Status Ring::check_resumed(std::uint32_t head) const {
    if (fetch_ >= info_.cmdr_size || fetch_ % kEntryAlignment != 0 ||
        distance(tail_, fetch_) > distance(tail_, head)) {
        return failure(EPROTO, fmt::format("the in-flight table says that {} comes next in a ring "
                                           "from {} to {}",
                                           fetch_, tail_, head));
    }
    std::uint32_t commands = 0;
    for (std::uint32_t at = tail_; at != fetch_;) {
        const Entry entry = entry_at(at, fetch_);
        if (!entry.is_possible) {
            return impossible(impossible_entry(entry));
        }
        commands += entry.op == kOpCommand ? 1 : 0;
        at = advanced(at, entry.length);
    }
    if (commands != table_.in_flight()) {
        return failure(EPROTO, fmt::format("the in-flight table holds {} commands, the ring {}",
                                           table_.in_flight(), commands));
    }
    return {};
}

Status Ring::check_left_slot(const Slot& slot, std::uint32_t index) {
    const std::span<const RingRange> ranges = table_.ranges(index);
    const bool has_data_elsewhere = std::ranges::any_of(
        ranges, [this](const RingRange& range) { return range.offset < info_.data_offset(); });
    if (slot.ring_offset >= info_.cmdr_size || has_data_elsewhere ||
        scsi::cdb_length({slot.cdb.data(), slot.cdb_length}) != slot.cdb_length) {
        return failure(EPROTO, "the in-flight table holds a command that no ring can hold");
    }
    return {};
}

// Whether the slot's entry, where it can still be seen, is that command: the same copied anew. The
// one at the tail may be half way to an answer. After a reset that nobody has seen, the ring may
// hold as many others.
bool Ring::is_entry_of(std::uint32_t index) {
    const Slot& slot = table_.at(index);
    const std::uint32_t position = slot.ring_offset;
    // As many as are in flight were fetched last and have their entries there; that of one which is
    // older has been taken by another, perhaps at the same place a turn of the ring later.
    if (position == tail_ || table_.fetched_after(index) >= table_.in_flight()) {
        return true;
    }
    const Entry entry = entry_at(position, fetch_);
    const std::size_t at = map_offset(position);
    if (!entry.is_possible || entry.op != kOpCommand || entry.length < layout_->size ||
        load<std::uint16_t>(at + layout_->cmd_id) != slot.cmd_id) {
        return false;
    }
    Slot seen = slot;
    const Counts counts = load_counts(entry);
    if (!fit(counts, entry) || counts.iovs != slot.iov_count || counts.bidi != slot.bidi_count ||
        !copy_cdb(cdb_place(entry), seen) || seen.cdb_length != slot.cdb_length ||
        std::memcmp(seen.cdb.data(), slot.cdb.data(), slot.cdb_length) != 0) {
        return false;
    }
    std::size_t iov_at = at + layout_->iov;
    return std::ranges::all_of(table_.ranges(index), [&](const RingRange& range) {
        const bool same = load<std::uint64_t>(iov_at) == range.offset &&
                          load<std::uint64_t>(iov_at + sizeof(std::uint64_t)) == range.length;
        iov_at += kIovSize;
        return same;
    });
}

// A slot whose outcome is there is not executed again. (Without OOOC others may come before it.)
Status Ring::answer_recorded() {
    for (const std::uint32_t index : table_.in_order()) {
        const bool is_recorded =
            table_.at(index).state != static_cast<std::uint32_t>(SlotState::kFetched);
        if (is_recorded) {
            table_.finish(index);
            clear_data(index);
        }
        if (!order_.empty()) {
            order_[order_count_++] = index;
        } else if (is_recorded) {
            CHECK(answer(index));
        }
    }
    return order_.empty() ? Status{} : answer_those_in_turn();
}

template <typename T>
T Ring::load(std::size_t offset) const {
    return read_once<T>(map_.data() + offset);
}

template <typename T>
void Ring::store(std::size_t offset, T value) {
    auto* field = reinterpret_cast<T*>(map_.data() + offset);
    std::atomic_ref<T>(*field).store(value, std::memory_order_relaxed);
}

inline std::uint32_t Ring::load_head() const {
    auto* head = reinterpret_cast<std::uint32_t*>(map_.data() + mailbox::kCmdHead);
    return std::atomic_ref(*head).load(std::memory_order_acquire);
}

inline void Ring::publish_tail(std::uint32_t tail) {
    auto* field = reinterpret_cast<std::uint32_t*>(map_.data() + mailbox::kCmdTail);
    std::atomic_ref(*field).store(tail, std::memory_order_release);
    tail_ = tail;
    tail_moved_ = true;
    first_.is_possible = false;
}

// False, for who has to say so in turn.
bool Ring::breaks(const std::string& why) {
    if (broken_.empty()) {
        broken_ = "ring is broken: " + why;
    }
    return false;
}

bool Ring::breaks(const Entry& impossible_one) {
    return breaks(impossible_entry(impossible_one));
}

std::unexpected<Error> Ring::broken() const {
    return failure(EPROTO, broken_);
}

bool Ring::has_more() const {
    return reset_untold_ || load_head() != fetch_ ||
           load<std::uint32_t>(mailbox::kCmdTail) != tail_;
}

bool Ring::take_tail_moved() {
    return std::exchange(tail_moved_, false);
}

// A reset leaves both positions at 0, and the tail is ours otherwise: it shows as a tail that moved
// by itself, or (the tail was at 0) as a head that went back.
inline Ring::Moved Ring::have_moved(std::uint32_t head, std::uint32_t tail) const {
    if (head >= info_.cmdr_size || head % kEntryAlignment != 0) {
        return Moved::kImpossibly;
    }
    if (tail != tail_ || distance(tail_, head) < distance(tail_, seen_head_)) {
        return tail == 0 ? Moved::kByReset : Moved::kImpossibly;
    }
    return Moved::kWell;
}

std::string Ring::impossible_move(std::uint32_t head, std::uint32_t tail) const {
    if (head >= info_.cmdr_size || head % kEntryAlignment != 0) {
        return fmt::format("cmd_head is {}", head);
    }
    return tail != tail_ ? fmt::format("cmd_tail became {}", tail)
                         : fmt::format("cmd_head went back to {}", head);
}

Fetched Ring::restart() {
    broken_.clear();
    reset_untold_ = false;
    order_count_ = 0;
    seen_head_ = 0;
    fetch_ = 0;
    tail_ = 0;
    first_.is_possible = false;
    if (table_.in_flight() > 0 || spoiled_) {
        table_.doubt(InflightTable::Doubt::kSpoiled, true);  // nor is it for a successor
    }
    table_.orphan_all();
    table_.set_fetch_position(0);
    had_orphans_ = had_orphans_ || spoiled_ || table_.orphans() > 0;
    return {.kind = Fetched::Kind::kReset};
}

Result<Fetched> Ring::fetch() {
    const std::uint32_t head = load_head();
    const auto tail = load<std::uint32_t>(mailbox::kCmdTail);
    const Moved moved = have_moved(head, tail);
    if (moved == Moved::kByReset) {
        return restart();
    }
    if (std::exchange(reset_untold_, false)) {
        return Fetched{.kind = Fetched::Kind::kReset};
    }
    if (moved == Moved::kWell) {
        seen_head_ = head;
    }
    if (!broken_.empty()) {
        return broken();
    }
    if (moved == Moved::kImpossibly) {
        breaks(impossible_move(head, tail));
        return broken();
    }
    if (table_.orphans() > 0) {
        return Fetched{.kind = Fetched::Kind::kNoRoom};  // their data areas are others' by now
    }
    if (std::exchange(had_orphans_, false)) {
        spoiled_ = true;
        spoiled_until_ = fetch_ == head ? std::nullopt : std::optional(head);
    }
    while (fetch_ != head) {
        const Entry entry = entry_at(fetch_, head);
        Fetched taken;
        if (!take(entry, taken)) {
            return broken();
        }
        if (taken.kind == Fetched::Kind::kNoRoom) {
            return taken;
        }
        if (spoiled_ && taken.kind == Fetched::Kind::kCommand) {
            spoil(taken);
        }
        fetch_ = advanced(fetch_, entry.length);
        if (fetch_ == spoiled_until_) {
            spoiled_until_.reset();
        }
        table_.set_fetch_position(fetch_);
        if (taken.kind != Fetched::Kind::kNothing) {
            return taken;
        }
    }
    if (!step_over_fillers()) {
        return broken();
    }
    return Fetched{};
}

// Its data may have been overwritten by an orphan's: the initiator shall send it again.
void Ring::spoil(Fetched& taken) {
    taken.kind = Fetched::Kind::kSpoiled;
    record(taken.slot, kBusy);
    if (!spoiled_until_) {
        spoiled_ = false;
        table_.doubt(InflightTable::Doubt::kSpoiled, false);
    }
}

// `limit`: a position that the entry must not pass.
inline Ring::Entry Ring::entry_at(std::uint32_t position, std::uint32_t limit) const {
    const auto len_op = load<std::uint32_t>(map_offset(position) + layout_->len_op);
    Entry entry{};
    entry.position = position;
    entry.length = len_op & ~kOpMask;
    entry.op = len_op & kOpMask;
    entry.room = limit > position ? limit - position : info_.cmdr_size - position;
    entry.is_possible = entry.length >= layout_->header_size && entry.length <= entry.room;
    return entry;
}

std::string Ring::impossible_entry(const Entry& entry) {
    return fmt::format("an entry of {} bytes at {} where {} are left", entry.length, entry.position,
                       entry.room);
}

inline bool Ring::take(const Entry& entry, Fetched& taken) {
    if (!entry.is_possible) {
        return breaks(entry);
    }
    switch (entry.op) {
        case kOpPad:
            return true;
        case kOpCommand:
            return take_command(entry, taken);
        case kOpTmr:
            if (layout_->uflags != EntryLayout::kAbsent) {
                return take_tmr(entry, taken);
            }
            break;
        default:
            break;
    }
    if (layout_->uflags == EntryLayout::kAbsent) {
        return breaks(fmt::format("op {} at {} in a version 1 ring", entry.op, entry.position));
    }
    taken = {.kind = Fetched::Kind::kUnknownOp, .type = static_cast<std::uint8_t>(entry.op)};
    return true;
}

bool Ring::take_tmr(const Entry& entry, Fetched& taken) {
    if (entry.length < tmr_entry::kCmdIds) {
        return breaks(fmt::format("a TMR of {} bytes at {}", entry.length, entry.position));
    }
    const std::size_t at = map_offset(entry.position);
    const auto count = load<std::uint32_t>(at + tmr_entry::kCmdCnt);
    if (count > (entry.length - tmr_entry::kCmdIds) / sizeof(std::uint16_t)) {
        return breaks(fmt::format("a TMR at {} names {} commands", entry.position, count));
    }
    tmr_cmd_ids_.resize(count);
    for (std::uint32_t index = 0; index < count; ++index) {
        tmr_cmd_ids_[index] =
            load<std::uint16_t>(at + tmr_entry::kCmdIds + index * sizeof(std::uint16_t));
    }
    taken = {.kind = Fetched::Kind::kTmr,
             .type = load<std::uint8_t>(at + tmr_entry::kType),
             .cmd_ids = tmr_cmd_ids_};
    return true;
}

inline Ring::Counts Ring::load_counts(const Entry& entry) const {
    const std::size_t at = map_offset(entry.position);
    Counts counts{};
    counts.iovs = layout_->iov_count_size == sizeof(std::uint64_t)
                      ? load<std::uint64_t>(at + layout_->iov_count)
                      : load<std::uint32_t>(at + layout_->iov_count);
    if (layout_->bidi_count != EntryLayout::kAbsent) {
        counts.bidi = load<std::uint32_t>(at + layout_->bidi_count);
    }
    return counts;
}

inline bool Ring::fit(const Counts& counts, const Entry& entry) const {
    const std::uint64_t room = (entry.length - layout_->iov) / kIovSize;
    return counts.iovs <= room && counts.bidi <= room - counts.iovs &&
           !table_.never_fits(counts.iovs + counts.bidi);
}

inline bool Ring::take_command(const Entry& entry, Fetched& taken) {
    if (entry.length < layout_->size) {
        return breaks(
            fmt::format("a command entry of {} bytes at {}", entry.length, entry.position));
    }
    const Counts counts = load_counts(entry);
    if (!fit(counts, entry)) {
        return breaks(fmt::format("{} + {} iovecs in an entry of {} bytes at {}", counts.iovs,
                                  counts.bidi, entry.length, entry.position));
    }
    const std::optional<std::uint32_t> index = table_.claim(counts.iovs + counts.bidi);
    if (!index) {
        taken.kind = Fetched::Kind::kNoRoom;
        return true;
    }
    Slot& slot = table_.at(*index);
    slot.ring_offset = entry.position;
    slot.cmd_id = load<std::uint16_t>(map_offset(entry.position) + layout_->cmd_id);
    if (!copy_ranges(entry, *index)) {
        table_.abandon(*index);
        return false;
    }
    if (const CdbPlace cdb = cdb_place(entry); !copy_cdb(cdb, slot)) {
        table_.abandon(*index);
        return breaks(cdb.room == 0 ? fmt::format("the CDB of the entry at {} is at {}",
                                                  entry.position, cdb.offset)
                                    : fmt::format("a CDB of opcode {:#04x} in {} bytes at {}",
                                                  slot.cdb[0], cdb.room, cdb.offset));
    }
    slot.iov_count = static_cast<std::uint32_t>(counts.iovs);
    slot.bidi_count = static_cast<std::uint32_t>(counts.bidi);
    table_.publish(*index);
    if (!order_.empty()) {
        order_[(order_first_ + order_count_) % order_.size()] = *index;
        ++order_count_;
    }
    taken.kind = Fetched::Kind::kCommand;
    taken.slot = *index;
    return true;
}

// Into the data area only: Data-In over the mailbox or the ring would be the end of both.
inline bool Ring::copy_ranges(const Entry& entry, std::uint32_t slot) {
    std::size_t at = map_offset(entry.position) + layout_->iov;
    const std::uint64_t data_offset = info_.data_offset();
    for (RingRange& range : table_.ranges(slot)) {
        range.offset = load<std::uint64_t>(at);
        range.length = load<std::uint64_t>(at + sizeof(std::uint64_t));
        at += kIovSize;
        if (range.offset < data_offset ||
            !ByteRange::fits(range.offset, range.length, map_.size())) {
            return breaks(fmt::format("an iovec of {} bytes at {} in the entry at {}", range.length,
                                      range.offset, entry.position));
        }
    }
    return true;
}

inline Ring::CdbPlace Ring::cdb_place(const Entry& entry) const {
    const std::size_t begin = map_offset(entry.position);
    const std::size_t end = begin + entry.length;
    const auto offset = load<std::uint64_t>(begin + layout_->cdb_off);
    const bool is_within = offset >= begin + layout_->header_size && offset < end;
    return {offset, is_within ? std::min<std::size_t>(end - offset, kCdbCapacity) : 0};
}

// As much as nearly all CDBs have, in one piece of known length; the rest of a longer one behind.
inline bool Ring::copy_cdb(const CdbPlace& place, Slot& slot) const {
    if (place.room == 0) {
        return false;
    }
    constexpr std::size_t kUsual = 16;
    const std::byte* const from = map_.data() + place.offset;
    const std::size_t first = std::min(place.room, kUsual);
    if (first == kUsual) {
        std::memcpy(slot.cdb.data(), from, kUsual);
    } else {
        std::memcpy(slot.cdb.data(), from, first);
    }
    // From here on the copy counts, not what the shared memory says by now.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    const std::size_t length = scsi::cdb_length({slot.cdb.data(), first});
    if (length == 0 || length > place.room) {
        return false;
    }
    if (length > first) {
        std::memcpy(slot.cdb.data() + first, from + first, length - first);
    }
    slot.cdb_length = static_cast<std::uint16_t>(length);
    return true;
}

// Moves the tail over what is no command, up to the first command, which is first_ then, or the
// fetch position. False: broken_ says why.
bool Ring::step_over_fillers() {
    if (first_.is_possible || tail_ == fetch_) {
        return true;
    }
    std::uint32_t tail = tail_;
    Entry entry = entry_at(tail, fetch_);
    while (entry.is_possible && entry.op != kOpCommand) {
        if (entry.op != kOpPad && entry.op != kOpTmr && layout_->uflags != EntryLayout::kAbsent) {
            store<std::uint8_t>(map_offset(tail) + layout_->uflags, kUflagUnknownOp);
        }
        tail = advanced(tail, entry.length);
        if (tail == fetch_) {
            publish_tail(tail);
            return true;
        }
        entry = entry_at(tail, fetch_);
    }
    if (!entry.is_possible) {
        return breaks(entry);
    }
    if (tail != tail_) {
        publish_tail(tail);
    }
    first_ = entry;
    return true;
}

// An answer to a ring that was reset would destroy the reset. (fetch() tells of what is
// impossible.)
inline void Ring::notice_reset() {
    if (have_moved(load_head(), load<std::uint32_t>(mailbox::kCmdTail)) == Moved::kByReset) {
        (void)restart();
        reset_untold_ = true;
    }
}

Status Ring::complete(std::uint32_t index, const Response& response) {
    notice_reset();
    switch (table_.state_of(index)) {
        case SlotState::kFree:
            return {};  // a command that was to be refused, and that the kernel has forgotten
        case SlotState::kOrphan:
            table_.release(index);
            return {};
        default:
            break;
    }
    record(index, response);
    clear_data(index);
    return order_.empty() ? answer(index) : answer_those_in_turn();
}

void Ring::record(std::uint32_t index, const Response& response) {
    Slot& slot = table_.at(index);
    slot.status = response.status;
    slot.sense_length = static_cast<std::uint8_t>(std::min(response.sense.size(), kSenseSize));
    std::copy_n(response.sense.begin(), slot.sense_length, slot.sense.begin());
    const bool with_length = has(mailbox::kReadLen) && response.read_len != 0;
    slot.read_len = with_length ? response.read_len : 0;
    slot.uflags = with_length ? kUflagReadLen : 0;
    slot.clear = {.offset = response.clear.offset, .length = response.clear.length};
    table_.finish(index);
}

inline void Ring::clear_data(std::uint32_t index) {
    const RingRange clear = table_.at(index).clear;
    if (clear.length > 0) {
        const std::span<const iovec> iovs = table_.data_iovs(index);
        zero_iov(Data(iovs, 0), clear.offset, clear.length);
    }
    for (const iovec& iov : table_.bidi_iovs(index)) {
        std::memset(iov.iov_base, 0, iov.iov_len);
    }
}

Status Ring::answer_those_in_turn() {
    while (order_count_ > 0) {
        const std::uint32_t first = order_[order_first_];
        if (table_.at(first).state != static_cast<std::uint32_t>(SlotState::kFinished)) {
            break;
        }
        order_first_ = (order_first_ + 1) % order_.size();
        --order_count_;
        CHECK(answer(first));
    }
    return {};
}

Status Ring::answer(std::uint32_t index) {
    if (!step_over_fillers() || !first_fits_answer()) {
        table_.release(index);
        return broken();
    }
    table_.begin_completion(index, tail_);
    write_response(map_offset(tail_), table_.at(index));
    publish_tail(advanced(tail_, first_.length));
    table_.release(index);
    if (!step_over_fillers()) {
        return broken();
    }
    return {};
}

inline bool Ring::first_fits_answer() {
    if (first_.is_possible && first_.length >= layout_->size) {
        return true;
    }
    return breaks(first_.is_possible
                      ? fmt::format("the entry at {} has {} bytes now", tail_, first_.length)
                      : "no entry is left for an answer");
}

// The kernel looks at the sense data of CHECK CONDITION only: what else is there stays.
inline void Ring::write_response(std::size_t at, const Slot& slot) {
    store<std::uint16_t>(at + layout_->cmd_id, slot.cmd_id);
    if (layout_->uflags != EntryLayout::kAbsent) {
        store<std::uint8_t>(at + layout_->uflags, slot.uflags);  // it holds whatever was there
    }
    store<std::uint64_t>(at + layout_->status, 0);
    store<std::uint8_t>(at + layout_->status, slot.status);
    if (layout_->read_len != EntryLayout::kAbsent) {
        store<std::uint32_t>(at + layout_->read_len, slot.read_len);
    }
    if (slot.status == static_cast<std::uint8_t>(scsi::StatusCode::kCheckCondition)) {
        std::byte* const sense = map_.data() + at + layout_->sense;
        std::memset(sense, 0, kSenseSize);
        std::memcpy(sense, slot.sense.data(), slot.sense_length);
    }
}

}  // namespace lunkit::tcmu
