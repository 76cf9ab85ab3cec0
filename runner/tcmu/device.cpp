// SPDX-License-Identifier: Apache-2.0
#include "tcmu/device.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "core/posted_call.hpp"
#include "lunkit/io_request.hpp"
#include "scsi/changed_range.hpp"
#include "scsi/sense_summary.hpp"

namespace lunkit::tcmu {

namespace {

constexpr unsigned kBatch = 128;  // commands started before others on the queue get their turn
constexpr std::chrono::seconds kIdentityLife{2};

// HARDWARE ERROR, INTERNAL TARGET FAILURE; fixed format (SPC-5 4.4.3).
constexpr std::array<std::uint8_t, 18> kInternalTargetFailure{
    0x70, 0, 0x04, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x44, 0x00, 0, 0, 0, 0};

constexpr Response kHardwareError{
    .status = static_cast<std::uint8_t>(scsi::StatusCode::kCheckCondition),
    .sense = kInternalTargetFailure,
    .read_len = 0};

constexpr Response kBusy{.status = static_cast<std::uint8_t>(scsi::StatusCode::kBusy)};

constexpr ByteRange kAllData{0, std::numeric_limits<std::uint64_t>::max()};

std::uint64_t total_length(std::span<const iovec> iovs) {
    std::uint64_t total = 0;
    for (const iovec& iov : iovs) {
        total += iov.iov_len;
    }
    return total;
}

std::string not_told(std::uint64_t suppressed) {
    return suppressed == 0 ? "" : fmt::format(" ({} more like this were not told)", suppressed);
}

std::span<const std::uint8_t> cdb_of(const Slot& slot) {
    return {slot.cdb.data(), slot.cdb_length};
}

core::CommandClass class_of(CommandKind kind) {
    switch (kind) {
        case CommandKind::kRead:
            return core::CommandClass::kRead;
        case CommandKind::kWrite:
            return core::CommandClass::kWrite;
        default:
            return core::CommandClass::kOther;
    }
}

core::ErrorKind error_of(const Response& response) {
    if (response.status == static_cast<std::uint8_t>(scsi::StatusCode::kGood)) {
        return {};
    }
    if (response.status != static_cast<std::uint8_t>(scsi::StatusCode::kCheckCondition)) {
        return core::ErrorKind::scsi_status(response.status);
    }
    const scsi::SenseSummary sense = scsi::summarize_sense(response.sense);
    return core::ErrorKind::sense(sense.key, sense.additional.code, sense.additional.qualifier);
}

const char* tmr_name(std::uint8_t type) {
    constexpr std::array<const char*, 8> kNames{
        "an unknown task management function",
        "ABORT TASK",
        "ABORT TASK SET",
        "CLEAR ACA",
        "CLEAR TASK SET",
        "LUN RESET",
        "TARGET WARM RESET",
        "TARGET COLD RESET",
    };
    constexpr std::uint8_t kLunResetByPersistentReserveOut = 128;
    if (type == kLunResetByPersistentReserveOut) {
        return "LUN RESET by PERSISTENT RESERVE OUT";
    }
    return kNames[type < kNames.size() ? type : 0];
}

scsi::LogicalUnitOptions complete(scsi::LogicalUnitOptions options, ServedRing& ring,
                                  CopyPartners* partners) {
    options.memory = &ring.unit_memory();
    options.copy_peers = partners;
    return options;
}

}  // namespace

Device::Device(DeviceParts parts, core::EngineQueue& queue)
    : name_(std::move(parts.name)),
      config_(std::move(parts.config)),
      node_(std::move(parts.node)),
      queue_(queue),
      events_(std::move(parts.events)),
      memory_(std::move(parts.ring)),
      ring_(memory_.ring()),
      block_(std::move(parts.block)),
      block_size_(parts.unit.block_size),
      zone_size_(block_->info().zone_size),
      copy_member_(parts.copies ? parts.copies->join(parts.copy_name, queue) : nullptr),
      copy_partners_(copy_member_ ? std::make_unique<CopyPartners>(parts.copies, copy_member_)
                                  : nullptr),
      unit_(*block_, *this, complete(parts.unit, memory_, copy_partners_.get())),
      write_cache_(unit_.write_cache()),
      kernel_write_cache_(parts.unit.write_cache) {
    for (Wakeup* wakeup : {&poll_, &again_, &timer_}) {
        wakeup->device = this;
    }
    poll_.done = [](lunkit_completion* completion) {
        static_cast<Wakeup*>(completion)->device->woken(completion->result);
    };
    again_.done = [](lunkit_completion* completion) {
        Device& device = *static_cast<Wakeup*>(completion)->device;
        device.again_.pending = false;
        if (device.stopping_) {
            device.settle();
        } else {
            (void)device.serve();
        }
    };
    timer_.done = [](lunkit_completion* completion) {
        Device& device = *static_cast<Wakeup*>(completion)->device;
        device.timer_.pending = false;
        if (completion->result == 0 && !device.gate_empty_ && device.drain_.late) {
            device.drain_.late();
        }
        device.settle();
    };
}

Device::~Device() {
    trace_->close();
}

void Device::start() {
    set_state(core::DeviceState::kRunning);
    queue_.add_poller(this);
    if (unit_.write_cache() != kernel_write_cache_) {
        tell_write_cache();
    }
    replay();
    if (copy_member_) {
        copy_member_->open(*this);  // what was left has its place in changes_ by now
    }
    if (has_caught_up()) {
        unit_.resume_background(queue_);
        (void)serve();  // arms the poll when the ring is empty
    }
}

// In the order of fetching, so that those that change the same blocks are done in that order again.
void Device::replay() {
    const std::vector<std::uint32_t> left = ring_.table().in_order();
    if (left.empty()) {
        return;
    }
    core::log(core::LogLevel::kNotice, {.device = name_},
              "executing {} commands that the predecessor had begun", left.size());
    replays_ = left.size();
    now_ = Clock::now();
    for (const std::uint32_t index : left) {
        counters_.begin();
        run(index, Turn::kReplay, gate_.enter());
    }
}

unsigned Device::poll() {
    return serve();
}

// Afterwards one of these holds, so that nothing in the ring is left lying: the poll is armed, a
// command that runs will look again (stalled_), or again_ is posted. Gives how many it fetched.
unsigned Device::serve() {
    if (stopping_ || gone_ || !has_caught_up()) {
        return 0;
    }
    for (unsigned count = 0; count < kBatch; ++count) {
        const Result<Fetched> fetched = ring_.fetch();
        check_pages();
        if (!fetched) {
            break_ring(fetched.error().what);
            arm();
            return count;
        }
        if (fetched->kind == Fetched::Kind::kNothing) {
            arm();
            return count;
        }
        if (count == 0) {
            now_ = Clock::now();
        }
        if (!take(*fetched)) {
            return count;
        }
    }
    look_again();
    return kBatch;
}

// False: no more can be taken now.
inline bool Device::take(const Fetched& fetched) {
    switch (fetched.kind) {
        case Fetched::Kind::kCommand:
            counters_.begin();
            if (page_missing_) {
                refuse(fetched.slot, kHardwareError, now_);
            } else {
                run(fetched.slot, Turn::kFirst, gate_.enter());
            }
            break;
        case Fetched::Kind::kSpoiled:
            counters_.begin();
            refuse(fetched.slot, kBusy, now_);
            break;
        case Fetched::Kind::kTmr:
            manage_tasks(fetched);
            break;
        case Fetched::Kind::kUnknownOp:
            if (std::uint64_t suppressed = 0; odd_entries_.admit(&suppressed)) {
                core::log(core::LogLevel::kWarning, {.device = name_},
                          "the kernel sent an entry of unknown kind {}, answering so{}",
                          fetched.type, not_told(suppressed));
            }
            break;
        case Fetched::Kind::kReset:
            core::log(core::LogLevel::kNotice, {.device = name_},
                      "the ring was reset; {} running commands will end unheard",
                      ring_.table().orphans());
            if (std::exchange(ring_broken_, false) && !page_missing_) {
                ring_.table().doubt(InflightTable::Doubt::kBroken, false);
                set_state(core::DeviceState::kRunning);
            }
            break;
        case Fetched::Kind::kNoRoom:
            stalled_ = true;
            return false;
        case Fetched::Kind::kNothing:
            return false;
    }
    return true;
}

// What has not begun is aborted. What the storage is at work on ends as it ends: nobody could say
// what a write that is called back has changed.
void Device::manage_tasks(const Fetched& tmr) {
    const std::size_t aborted = waiting_.end(tmr.cmd_ids);
    if (std::uint64_t suppressed = 0; task_management_.admit(&suppressed)) {
        core::log(core::LogLevel::kNotice, {.device = name_},
                  "an initiator asked for {}; of {} commands that are meant {} had not begun and "
                  "are aborted, the others end normally{}",
                  tmr_name(tmr.type), tmr.cmd_ids.size(), aborted, not_told(suppressed));
    }
}

Detached Device::run(std::uint32_t index, Turn turn, [[maybe_unused]] Gate::Pass pass) {
    const Clock::time_point fetched_at = now_;
    Slot& slot = ring_.table().at(index);
    const std::span<const iovec> iovs = ring_.table().data_iovs(index);
    const Data data(iovs, total_length(iovs));
    scsi::Command command;
    command.cdb = cdb_of(slot);
    command.data = &data;
    command.tag = slot.cmd_id;
    command.progress = &slot.progress;
    command.replay = turn == Turn::kReplay;
    const CommandKind kind = kind_of(command.cdb);
    const std::optional<ByteRange> changes =
        kind == CommandKind::kRead ? std::nullopt
                                   : scsi::changed_range(command, block_size_, zone_size_);
    RangeLock::Guard in_order(changes_, changes.value_or(ByteRange{}), RangeLock::Mode::kExclusive);
    bool aborted = false;
    if (changes && !in_order.enter()) {
        const WaitingCommands::Place place(waiting_, slot.cmd_id, in_order);
        aborted = !(co_await in_order.acquire(queue_)).ok();
    }
    if (aborted) {
        command.status = scsi::StatusCode::kTaskAborted;
    } else if (ring_.table().state_of(index) != SlotState::kOrphan) {
        // It does not wait for others, so it has begun when replay() is through.
        const bool others_may_come = turn == Turn::kReplay && is_rewrite(command.cdb);
        rewrites_ += others_may_come ? 1U : 0U;
        co_await unit_.execute(queue_, command);
        rewrites_ -= others_may_come ? 1U : 0U;
    }  // else the ring was reset while it waited: its data is others' by now
    finish(index, command, kind, fetched_at);
    if (turn != Turn::kReplay) {
        co_return;
    }
    --replays_;
    if (has_caught_up()) {
        unit_.resume_background(queue_);
        look_again();  // for the first new one
    }
}

// For commands that are not executed, because nothing can be trusted to arrive where it should.
void Device::refuse(std::uint32_t index, Response response, Clock::time_point fetched_at) {
    response.clear = kAllData;
    note_end(index, kind_of(cdb_of(ring_.table().at(index))), 0, response, fetched_at);
    answer(index, response);
}

inline void Device::finish(std::uint32_t index, const scsi::Command& command, CommandKind kind,
                           Clock::time_point fetched_at) {
    if (ring_.table().state_of(index) == SlotState::kOrphan) {
        answer(index, {});  // its data area belongs to other commands by now
        return;
    }
    check_pages();
    if (page_missing_) {
        // Zeros may have stood in for its data: whatever it says, it did not work.
        refuse(index, kHardwareError, fetched_at);
        return;
    }
    Response response{.status = static_cast<std::uint8_t>(command.status)};
    if (command.status == scsi::StatusCode::kCheckCondition) {
        response.sense = {command.sense.data(),
                          std::min<std::size_t>(command.sense_length, command.sense.size())};
    }
    const bool good = command.status == scsi::StatusCode::kGood;
    const std::uint64_t bytes = kind == CommandKind::kRead ? command.data_in_length
                                : good                     ? command.data->length
                                                           : 0;
    note_end(index, kind, bytes, response, fetched_at);
    settle_data(response, command, kind);
    answer(index, response);
}

// Sees to it that the initiator gets what was produced and nothing else. (The kernel reads a
// READ_LEN of 0 as "all".)
inline void Device::settle_data(Response& response, const scsi::Command& command,
                                CommandKind kind) const {
    const std::uint64_t length = command.data->length;
    const std::uint64_t produced = std::min(command.data_in_length, length);
    if (produced == length) {
        return;
    }
    const bool can_tell = ring_.has(mailbox::kReadLen);
    if (can_tell && produced > 0 && produced <= std::numeric_limits<std::uint32_t>::max()) {
        response.read_len = static_cast<std::uint32_t>(produced);
        return;
    }
    const bool data_out = kind == CommandKind::kWrite || kind == CommandKind::kDataOut;
    if (can_tell && data_out && command.status != scsi::StatusCode::kCheckCondition) {
        // The length counts for Data-In only. Should the initiator have sent this opcode with the
        // wrong direction it gets one zero, and we need not clear the data of every write.
        response.read_len = 1;
        response.clear = {0, 1};
        return;
    }
    response.clear = {produced, length - produced};
}

inline void Device::answer(std::uint32_t index, const Response& response) {
    const Status completed = ring_.complete(index, response);
    counters_.leave();
    if (!completed) {
        break_ring(completed.error().what);
    }
    if (std::exchange(stalled_, false)) {
        look_again();
    }
}

// Before the answer, after which nobody waits any more.
inline void Device::note_end(std::uint32_t index, CommandKind kind, std::uint64_t bytes,
                             const Response& response, Clock::time_point fetched_at) {
    now_ = Clock::now();
    const core::CommandEnd end{.kind = class_of(kind),
                               .bytes = bytes,
                               .took = now_ - fetched_at,
                               .error = error_of(response)};
    counters_.ended(end);
    if (trace_->is_watched()) {
        const Slot& slot = ring_.table().at(index);
        const std::span<const std::uint8_t> cdb = cdb_of(slot);
        core::TraceRecord record = core::trace_record(end, slot.cmd_id);
        record.cdb_length = slot.cdb_length;
        std::ranges::copy(cdb.first(std::min(cdb.size(), record.cdb.size())), record.cdb.begin());
        trace_->put(record);
    }
}

// The order matters: the count is read before the ring is looked at for the last time, so that an
// event between the two makes the poll complete at once.
void Device::arm() {
    if (poll_.pending) {
        return;
    }
    read_event_count();
    if (gone_) {
        return;
    }
    if (!ring_broken_ && ring_.has_more()) {
        look_again();
        return;
    }
    poll_.pending = true;
    const int submitted = queue_.submit_poll(memory_.fd(), POLLIN, &poll_);
    if (submitted == LUNKIT_PENDING) {
        return;
    }
    poll_.pending = false;
    if (submitted < 0) {
        look_later();
    } else {
        look_again();
    }
}

void Device::woken(std::int64_t events) {
    poll_.pending = false;
    if (stopping_) {
        settle();
        return;
    }
    if (events < 0) {
        look_later();  // the wait has failed, not the node
        return;
    }
    if ((events & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
        gone("its uio node is dead");
        return;
    }
    (void)serve();
}

void Device::look_again() {
    if (!again_.pending && !stopping_) {
        again_.pending = true;
        queue_.post(&again_);
    }
}

void Device::look_later() {
    constexpr std::uint64_t kNanoseconds = 10'000'000;
    if (again_.pending || stopping_) {
        return;
    }
    again_.pending = true;
    if (queue_.submit_timer(kNanoseconds, &again_) != LUNKIT_PENDING) {
        queue_.post(&again_);
    }
}

// The poll is ready as long as the event count differs from the one last read.
void Device::read_event_count() {
    std::int32_t count = 0;
    ssize_t got = -1;
    do {
        got = ::read(memory_.fd(), &count, sizeof count);
    } while (got < 0 && errno == EINTR);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        gone("its uio node is dead");
    }
}

void Device::flush() {
    if (ring_.take_tail_moved() && !gone_) {
        kick();
    }
}

void Device::kick() {
    const std::int32_t value = 0;
    ssize_t put = -1;
    do {
        put = ::write(memory_.fd(), &value, sizeof value);
    } while (put < 0 && errno == EINTR);
    core::count(counters_.kicks);
    if (put < 0) {
        gone("its uio node takes no kick");
    }
}

void Device::gone(const std::string& why) {
    if (gone_) {
        return;
    }
    gone_ = true;
    core::log(core::LogLevel::kInfo, {.device = name_}, "the kernel has removed the device ({})",
              why);
    {
        const std::lock_guard lock(error_mutex_);
        error_ = "removed by the kernel";
    }
    set_state(core::DeviceState::kFailed);
    if (events_.gone && !stopping_) {
        events_.gone();
    }
}

void Device::break_ring(const std::string& why) {
    if (!std::exchange(ring_broken_, true)) {
        ring_.table().doubt(InflightTable::Doubt::kBroken, true);
        fail(why);
    }
}

inline void Device::check_pages() {
    if (memory_.table_lost() != table_lost_ || memory_.page_missing() != page_missing_)
        [[unlikely]] {
        note_lost_pages();
    }
}

void Device::note_lost_pages() {
    if (!table_lost_ && memory_.table_lost()) {
        table_lost_ = true;
        ring_.table().doubt(InflightTable::Doubt::kLost, true);
        core::log(core::LogLevel::kError, {.device = name_},
                  "no memory for its in-flight table; should the daemon die, a successor has to "
                  "reset the ring");
    }
    if (!page_missing_ && memory_.page_missing()) {
        page_missing_ = true;
        fail("a page of its data area is missing (SIGBUS)");
    }
}

void Device::fail(const std::string& why) {
    core::log(core::LogLevel::kError, {.device = name_}, "{}; the device is failed", why);
    {
        const std::lock_guard lock(error_mutex_);
        error_ = why;
    }
    set_state(core::DeviceState::kFailed);
}

void Device::set_state(core::DeviceState state) {
    state_.store(state, std::memory_order_relaxed);
}

void Device::drain(Drain how) {
    stopping_ = true;
    if (copy_member_) {
        copy_member_->close();
    }
    unit_.end_background();
    drain_ = std::move(how);
    if (state() != core::DeviceState::kFailed) {
        set_state(core::DeviceState::kDraining);
    }
    timer_.pending = true;
    const auto bound = static_cast<std::uint64_t>(drain_.bound.count());
    if (queue_.submit_timer(bound, &timer_) != LUNKIT_PENDING) {
        timer_.pending = false;  // without a bound, then
    }
    if (poll_.pending) {
        queue_.cancel(&poll_);
    }
    empty_gate();
}

Detached Device::empty_gate() {
    (void)co_await gate_.close(queue_);  // cannot fail
    gate_empty_ = true;
    if (timer_.pending) {
        queue_.cancel(&timer_);
    }
    settle();
}

// Whatever the queue still holds of this device calls here when it has ended.
void Device::settle() {
    if (!gate_empty_ || timer_.pending || poll_.pending || again_.pending || !drain_.quiet) {
        return;
    }
    flush();
    queue_.remove_poller(this);
    core::call_on(queue_,
                  std::exchange(drain_.quiet, nullptr));  // when no frame of ours is on the stack
}

void Device::capacity_changed() {
    unit_.capacity_changed();
}

Detached Device::set_write_cache(bool enabled, std::move_only_function<void(Status)> done) {
    const Gate::Pass pass = gate_.enter();
    if (!pass) {
        done(failure(ESHUTDOWN, "the device is closing"));
        co_return;
    }
    Status switched = co_await unit_.set_write_cache(queue_, enabled);
    write_cache_.store(unit_.write_cache(), std::memory_order_relaxed);
    done(std::move(switched));
}

// A predecessor died before the kernel knew of the write cache that an initiator has chosen.
Detached Device::tell_write_cache() {
    const Gate::Pass pass = gate_.enter();
    if (!pass) {
        co_return;
    }
    const Status flushed = co_await unit_.set_write_cache(queue_, unit_.write_cache());
    if (!flushed) {
        core::log(core::LogLevel::kError, {.device = name_},
                  "what the predecessor left in the cache cannot be made durable: {}",
                  flushed.error().what);
    }
    write_cache_changed(unit_.write_cache());
}

void Device::write_cache_changed(bool enabled) {
    write_cache_.store(enabled, std::memory_order_relaxed);
    if (events_.write_cache_changed) {
        events_.write_cache_changed(enabled);
    }
}

namespace {

Detached run_with(Gate::Pass /*pass*/, Task<void> work) {
    co_await work;
}

}  // namespace

// What a command left running is waited for like a command.
bool Device::run_in_background(Task<void> work) {
    Gate::Pass pass = gate_.enter();
    if (!pass) {
        return false;
    }
    run_with(std::move(pass), std::move(work));
    return true;
}

Task<scsi::Identity> Device::identity(Queue& queue) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= identity_expires_ && events_.identity) {
        scsi::Identity fresh;
        const auto read = [this, &fresh]() -> std::int64_t {
            fresh = events_.identity();
            return 0;
        };
        const Outcome outcome = co_await queue.offload(this, read);
        if (outcome.ok()) {
            identity_ = fresh;
            identity_expires_ = now + kIdentityLife;
        }
    }
    co_return identity_;
}

Task<CopyFacts> Device::copy_facts() {
    const scsi::Identity known = co_await identity(queue_);
    CopyFacts facts{.naa = scsi::make_naa_identifier(known.serial, known.company_id),
                    .info = block_->info(),
                    .block_size = block_size_,
                    .reserved = true};
    if (events_.reserved) {
        const Outcome asked = co_await queue_.offload(
            this, [this]() -> std::int64_t { return events_.reserved() ? 1 : 0; });
        facts.reserved = asked.result != 0;
    }
    co_return facts;
}

Task<Status> Device::read_for_copy(const IoRequest& io) {
    return unit_.read_for_copy(queue_, io);
}

// Behind every earlier command that changes these blocks, until that one's answer is in the ring; a
// successor that executes it once more comes before the copy then, not behind it.
Task<Status> Device::write_for_copy(const IoRequest& io) {
    RangeLock::Guard in_order(changes_, io.range(), RangeLock::Mode::kExclusive);
    (void)co_await in_order.acquire(queue_);  // nobody withdraws it
    co_return co_await unit_.write_for_copy(queue_, io);
}

core::DeviceStatus Device::status() const {
    const DeviceInfo info = block_->info();
    core::DeviceStatus status;
    status.front_end = "tcmu";
    status.name = name_;
    status.config = config_;
    status.node = node_;
    status.state = state();
    status.size = info.size;
    status.block_size = block_size_;
    status.read_only = info.read_only;
    status.write_cache = write_cache();
    const core::DeviceCounters* const counters = &counters_;
    core::tell_counters({&counters, 1}, status);
    const std::lock_guard lock(error_mutex_);
    if (status.state == core::DeviceState::kFailed) {
        status.error = error_;
    }
    return status;
}

}  // namespace lunkit::tcmu
