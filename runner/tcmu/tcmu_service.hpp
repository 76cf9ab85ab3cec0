// SPDX-License-Identifier: Apache-2.0
// TcmuService: the TCMU front end. It learns of devices (netlink events; a look around at start),
// brings them up, and answers the kernel, whose side of each event waits without a limit.
//
// It has a control thread of its own that never waits for storage: everything that may block runs
// on worker threads, with a watchdog that answers the kernel when the worker does not come back.
// Rules that keep the kernel and us from waiting for each other:
//   - nothing below a device's configfs folder is looked up while its REMOVED waits (configfs.hpp);
//   - a size that starts with us is told by `control`, never while a RECONFIG waits;
//   - an attribute that makes a RECONFIG to ourselves is written by a worker.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/service.hpp"
#include "core/worker_pool.hpp"
#include "tcmu/bring_up.hpp"
#include "tcmu/control_loop.hpp"
#include "tcmu/copy_directory.hpp"
#include "tcmu/device_event.hpp"
#include "tcmu/inflight_folder.hpp"
#include "tcmu/served_device.hpp"

namespace lunkit::tcmu {

class TcmuService final : public core::Service {
  public:
    TcmuService(core::Runtime& runtime, Surroundings world);
    TcmuService(TcmuService&&) = delete;
    TcmuService& operator=(TcmuService&&) = delete;
    /// After stop() has called back, or before start(). The queues still run.
    ~TcmuService() override;

    [[nodiscard]] std::string_view name() const override { return "tcmu"; }
    Status start() override;
    void stop(std::function<void(bool clean)> stopped) override;
    [[nodiscard]] std::vector<core::DeviceStatus> list() const override;
    [[nodiscard]] Result<std::shared_ptr<core::TraceTap>> trace(const std::string& name) override;
    void settings_changed() override;
    /// As a disk of this machine, over whatever fabric.
    [[nodiscard]] bool serves_disk(const std::string& disk) override;

  private:
    using Entry = std::shared_ptr<ServedDevice>;
    using Milliseconds = std::chrono::milliseconds;
    /// How long a step may take.
    struct StepBound {
        Milliseconds most;
        /// While no step of another device's creation or change ends, it has no more than this: it
        /// is not that there is much to do, it waits.
        Milliseconds alone = most;
    };

    // Everything below runs on the control thread.

    // event_answers.cpp: from an event to its answer
    void receive_events();
    void read_events();
    void on_event(const DeviceEvent& event);
    void on_added(const DeviceEvent& event, const DeviceName& name, PendingReply reply);
    void on_known_added(const Entry& entry, const DeviceEvent& event, PendingReply reply);
    void on_removed(const Entry& entry, PendingReply reply);
    void on_reconfig(const Entry& entry, const DeviceEvent& event, PendingReply reply);
    void change_size(const Entry& entry, std::uint64_t bytes, PendingReply reply);
    void change_write_cache(const Entry& entry, bool enabled, PendingReply reply);
    void on_foreign(const DeviceEvent& event, PendingReply reply);
    void wait(const Entry& entry, const DeviceEvent& event, PendingReply reply);
    void handle_waiting(const Entry& entry);

    // device_life.cpp: opening, changing, closing
    void open(const Entry& entry);
    void open_in_turn(const Entry& entry);
    void bring_up_step(const Entry& entry, BringUpOrder order);
    void preset_step(const Entry& entry, const std::shared_ptr<Result<BroughtUp>>& result);
    [[nodiscard]] StepBound configfs_bound() const;
    [[nodiscard]] bool give_up_opening(const Entry& entry);
    void opened(const Entry& entry, Result<BroughtUp> result);
    void open_failed(const Entry& entry, const Error& error);
    void retry_later(const Entry& entry);
    void changed(const Entry& entry, const Status& status);
    void push_size(const Entry& entry);
    void close(const Entry& entry, PendingReply reply);
    void drained(const Entry& entry);
    void closed(const Entry& entry);
    void forget(const Entry& entry, int result);
    void became_idle(const Entry& entry);
    void handler_says_size(const Entry& entry);
    void push_write_cache(const Entry& entry);

    // startup_scan.cpp: devices that were there before us
    void scan();
    void probe_one(const UioDevice& uio, bool ours);
    void probe_step(const Entry& entry, bool ours);
    void probed(const Entry& entry, bool ours, Result<Probe> result);
    void note_probe(const Entry& entry, const Probe& probe);
    void probe_hangs(const Entry& entry);
    void one_probed();
    void second_look();
    void end_unheard_reconfigs();
    void unblock_events();
    void clear_stale_events();

    // service_steps.cpp: what runs elsewhere and comes back

    /// `work` on a worker thread, then `done` here. After `bound`, `late` is called: true gives the
    /// step up, and when the worker comes back after all, what it made is destroyed over there.
    void run_step(const Entry& entry, StepBound bound, ControlLoop::Call work,
                  ControlLoop::Call done, std::move_only_function<bool()> late);
    void watch_step(const Entry& entry, StepBound bound, std::move_only_function<bool()> late);
    /// Whoever still comes back from an earlier step comes too late.
    void end_step(const Entry& entry);
    void drop_in_worker(ControlLoop::Call holder);

    /// `begin` when the entry's turn has come, unless another step of it begins before.
    void take_turn(const Entry& entry, ControlLoop::Call begin);
    void end_turn(const Entry& entry);
    void next_turns();
    [[nodiscard]] std::shared_ptr<core::EngineQueue> assign_queue();
    /// Any thread may call the result.
    [[nodiscard]] ControlLoop::Call on_loop(ControlLoop::Call call);

    [[nodiscard]] Entry find(std::string_view folder) const;
    Entry add(UioDevice uio);
    void set_phase(const Entry& entry, ServedDevice::Phase phase);
    void begin_stop();
    void check_stopped();

    core::Runtime& runtime_;
    const Surroundings world_;
    core::Settings settings_;  // a copy: the original belongs to another thread
    const std::shared_ptr<CopyDirectory> copies_ = std::make_shared<CopyDirectory>();
    std::shared_ptr<const InflightFolder> tables_;
    std::unique_ptr<EventChannel> channel_;
    std::unique_ptr<ControlLoop> loop_;  // its thread ends before the rest goes

    mutable std::mutex mutex_;
    std::vector<Entry> entries_;  // changed by the control thread, under mutex_

    struct Foreign {
        std::uint64_t number;  // tells its timer from that of an earlier one
        PendingReply reply;
        ControlLoop::TimerId timer;
    };
    std::uint64_t foreign_count_ = 0;
    std::map<std::uint32_t, Foreign> foreign_;  // by DEVICE_ID; destroyed before channel_

    struct Scan {
        std::size_t outstanding = 0;
        bool blocked = false;      // block_netlink is 1
        bool add_pending = false;  // somebody's device waits for its answer to ADDED
        bool unsettled = false;    // a device of ours waits for an answer to REMOVED, or may wait
        bool reset_later = false;
        std::vector<Entry> enabled;  // devices of ours of which nothing has been heard
    };
    Scan scan_;
    bool reading_ = false;  // events

    struct Turn {
        Entry entry;
        std::uint64_t step;
        ControlLoop::Call begin;
    };
    std::deque<Turn> line_;  // who waits for a turn
    std::size_t turns_ = 0;  // that somebody has
    bool stopping_ = false;
    bool given_up_ = false;             // stopping goes on without what still runs
    std::uint64_t creation_steps_ = 0;  // that have ended while the kernel waited for an answer
    std::size_t working_ = 0;           // steps and closings that have not come back
    std::function<void(bool)> stopped_;
};

/// For the main program. `runtime` outlives the service.
std::unique_ptr<core::Service> make_tcmu_service(core::Runtime& runtime);

}  // namespace lunkit::tcmu
