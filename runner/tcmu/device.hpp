// SPDX-License-Identifier: Apache-2.0
// Device: one TCMU device at work, on one queue.
//
// It is a poller on cmd_head; when the ring is empty it leaves a poll on the uio descriptor, so
// that the queue can sleep. Each command is a coroutine: LogicalUnit::execute() between fetch and
// completion. Data moves straight between the mapping and the handler. Completions gather in the
// ring; one kick (a write to the descriptor) at the end of a turn tells the kernel of all of them.
//
// No byte of the data area reaches an initiator that its command did not produce: the kernel gets
// the length of what was produced (READ_LEN), or the rest is zeroed.
//
// The commands of a predecessor that its in-flight table holds are executed once more, before the
// first new one; but for a rewrite of the medium, which refuses them as long as it runs, only the
// beginning is waited for. That this does no harm is prepared while they run for the first time:
// commands that change the same blocks are executed one after the other, each when the one before
// has its answer in the ring. So a repeated write can never undo one that was acknowledged later.
//
// What goes wrong with the ring or its memory fails this device and no other:
//   ring broken    nothing more is fetched; what runs is answered; a reset of the ring heals it
//   page missing   (SIGBUS) every command, running or new, ends with HARDWARE ERROR
//   uio gone       the kernel has removed the device: it closes
//
// Threads: all members are for the queue's thread unless they say otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "core/engine_queue.hpp"
#include "core/log.hpp"
#include "core/service.hpp"
#include "core/trace.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/gate.hpp"
#include "lunkit/range_lock.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "scsi/logical_unit.hpp"
#include "tcmu/command_kind.hpp"
#include "tcmu/copy_directory.hpp"
#include "tcmu/copy_member.hpp"
#include "tcmu/ring.hpp"
#include "tcmu/served_ring.hpp"
#include "tcmu/waiting_commands.hpp"

namespace lunkit::tcmu {

/// What the device tells its owner; called on the queue's thread.
struct DeviceEvents {
    /// The uio node is dead: drain() what is left.
    std::function<void()> gone;
    /// MODE SELECT changed WCE.
    std::function<void(bool enabled)> write_cache_changed;
    /// Worker thread, may block: who the unit says it is.
    std::function<scsi::Identity()> identity;
    /// Worker thread, may block: somebody holds a reservation of the device, or nobody can tell.
    /// Empty: likewise.
    std::function<bool()> reserved;
};

/// What a device is made of.
struct DeviceParts {
    std::string name;    ///< "user_<hba>/<dev>"
    std::string config;  ///< "<handler>/<rest>"
    std::string node;    ///< "/dev/uio<N>"
    ServedRing ring;     ///< what its table holds is executed before anything is fetched
    std::unique_ptr<BlockDevice> block;
    scsi::LogicalUnitOptions unit;
    DeviceEvents events;
    /// Where its copies find others, and others find it. Null: copies stay within the device.
    std::shared_ptr<CopyDirectory> copies = {};
    std::string copy_name = {};  ///< copy_name()
};

class Device final : public core::Poller, private scsi::Initiators, private CopyAccess {
  public:
    /// Any thread; touches nothing of the ring. `queue` outlives the device.
    Device(DeviceParts parts, core::EngineQueue& queue);
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    Device(Device&&) = delete;
    Device& operator=(Device&&) = delete;
    /// Any thread that may block (the handler closes), before start() or once quiet.
    ~Device() override;

    /// Begins to serve.
    void start();

    struct Drain {
        std::chrono::nanoseconds bound;
        /// Commands still run after `bound`; at most once, before quiet.
        std::move_only_function<void()> late;
        /// Nothing runs any more and the queue has forgotten the device. May come long after late,
        /// or never (storage that never answers).
        std::move_only_function<void()> quiet;
    };
    /// Fetches no more and waits for what runs. Once.
    void drain(Drain how);

    /// The block device has another size; the initiators are told.
    void capacity_changed();
    /// The write cache is switched from outside: see LogicalUnit::set_write_cache().
    Detached set_write_cache(bool enabled, std::move_only_function<void(Status)> done);

    // Any thread.
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] core::EngineQueue& queue() { return queue_; }
    [[nodiscard]] BlockDevice& block() { return *block_; }
    [[nodiscard]] bool write_cache() const { return write_cache_.load(std::memory_order_relaxed); }
    [[nodiscard]] core::DeviceState state() const { return state_.load(std::memory_order_relaxed); }
    [[nodiscard]] core::DeviceStatus status() const;
    /// Where its commands can be watched.
    [[nodiscard]] const std::shared_ptr<core::TraceTap>& trace() const { return trace_; }

    [[nodiscard]] bool is_broken() const { return ring_broken_ || page_missing_; }

    // Poller.
    unsigned poll() override;
    void flush() override;

  private:
    using Clock = std::chrono::steady_clock;

    // A completion that belongs to the device and knows it.
    struct Wakeup : lunkit_completion {
        Wakeup() : lunkit_completion{} {}
        Device* device = nullptr;
        bool pending = false;
    };

    void replay();
    [[nodiscard]] bool has_caught_up() const { return replays_ == rewrites_; }
    Detached tell_write_cache();
    unsigned serve();
    bool take(const Fetched& fetched);
    void manage_tasks(const Fetched& tmr);
    enum class Turn : std::uint8_t { kFirst, kReplay };
    Detached run(std::uint32_t index, Turn turn, Gate::Pass pass);
    void refuse(std::uint32_t index, Response response, Clock::time_point fetched_at);
    void finish(std::uint32_t index, const scsi::Command& command, CommandKind kind,
                Clock::time_point fetched_at);
    void settle_data(Response& response, const scsi::Command& command, CommandKind kind) const;
    void answer(std::uint32_t index, const Response& response);
    void note_end(std::uint32_t index, CommandKind kind, std::uint64_t bytes,
                  const Response& response, Clock::time_point fetched_at);

    void arm();
    void woken(std::int64_t events);
    void look_again();
    void look_later();
    void read_event_count();
    void kick();
    void gone(const std::string& why);
    void break_ring(const std::string& why);
    void check_pages();
    void note_lost_pages();
    void fail(const std::string& why);
    void set_state(core::DeviceState state);

    Detached empty_gate();
    void settle();

    // scsi::Initiators
    Task<scsi::Identity> identity(Queue& queue) override;
    void write_cache_changed(bool enabled) override;
    bool run_in_background(Task<void> work) override;

    // CopyAccess
    Gate::Pass enter() override { return gate_.enter(); }
    Task<CopyFacts> copy_facts() override;
    Task<Status> read_for_copy(const IoRequest& io) override;
    Task<Status> write_for_copy(const IoRequest& io) override;

    const std::string name_;
    const std::string config_;
    const std::string node_;
    core::EngineQueue& queue_;
    DeviceEvents events_;
    ServedRing memory_;
    Ring& ring_;
    std::unique_ptr<BlockDevice> block_;
    const std::uint32_t block_size_;
    const std::uint64_t zone_size_;                      // in bytes; 0 if there are none
    const CopyDirectory::Member copy_member_;            // null without a directory
    const std::unique_ptr<CopyPartners> copy_partners_;  // likewise
    scsi::LogicalUnit unit_;
    std::atomic<bool> write_cache_;
    const bool kernel_write_cache_;  // emulate_write_cache, as it was at first

    Gate gate_;
    RangeLock changes_;         // of the commands that run, in the order of fetching
    WaitingCommands waiting_;   // for their turn in changes_
    std::size_t replays_ = 0;   // of a predecessor's commands, still running
    std::size_t rewrites_ = 0;  // of these, rewrites of the medium: others are served meanwhile
    // As the clock was read last: at the first fetch of a batch, and at each completion.
    Clock::time_point now_;
    Wakeup poll_;           // of the uio descriptor
    Wakeup again_;          // look at the ring again in the next turn
    Wakeup timer_;          // the bound of a drain
    bool stalled_ = false;  // the ring has more, the table has no room
    bool stopping_ = false;
    bool gone_ = false;
    bool ring_broken_ = false;
    bool page_missing_ = false;
    bool table_lost_ = false;
    bool gate_empty_ = false;
    Drain drain_;

    scsi::Identity identity_;
    std::chrono::steady_clock::time_point identity_expires_;

    core::DeviceCounters counters_;
    const std::shared_ptr<core::TraceTap> trace_ = std::make_shared<core::TraceTap>();
    core::LogLimit odd_entries_;
    core::LogLimit task_management_;
    std::atomic<core::DeviceState> state_{core::DeviceState::kOpening};
    mutable std::mutex error_mutex_;
    std::string error_;  // under error_mutex_
};

}  // namespace lunkit::tcmu
