// SPDX-License-Identifier: Apache-2.0
// UblkService: the ublk front end. Devices are made and removed as the daemon is asked; each step
// of that blocks in the kernel or in a handler, and runs on a worker.
//
// A device ends in one way, whoever wants it: the kernel stops it (STOP_DEV) and gives back its
// tags; when the last one is back, a worker closes what serves it and removes it (DEL_DEV). So a
// device that another program stops or removes goes as well.
//
// The daemon's own end is none for its devices. They are made with USER_RECOVERY and
// USER_RECOVERY_REISSUE, where the kernel has both: when the server goes, orderly or not, requests
// wait (QUIESCED) for the next one, and those that it had begun are given to that again. The next
// daemon finds the devices by what is written of each (device_folder.hpp), and goes on with them:
// START_USER_RECOVERY, FETCH_REQ of all tags, END_USER_RECOVERY. Should it die in between, its
// successor does the same once more; but of several hardware queues the fetches are several system
// calls, and a device whose server died between those cannot be recovered (recovery.cpp).
//
// A device that no daemon of ours serves can be removed too, once nobody else does.
//
// Its queues (device_queues.hpp) are made with the first device.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/counted_calls.hpp"
#include "core/service.hpp"
#include "host/handler_registry.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/result.hpp"
#include "ublk/control_device.hpp"
#include "ublk/control_process.hpp"
#include "ublk/device.hpp"
#include "ublk/device_folder.hpp"
#include "ublk/device_queues.hpp"
#include "ublk/trusted_thread.hpp"

namespace lunkit::ublk {

/// What the service needs of the world; a test has its own.
struct Surroundings {
    std::function<Status()> find_kernel;
    /// The devices that the kernel has, whoever made them. Does not load its module.
    std::function<std::vector<std::uint32_t>()> find_devices;
    std::function<Result<std::unique_ptr<DeviceQueues>>()> start_queues;
    std::function<Result<ControlDevice>()> open_control;
    std::function<Result<CharDevice>(std::uint32_t dev_id)> open_chars;
    std::function<Result<std::unique_ptr<BlockDevice>>(host::OpenDevice request)> open_block;
    /// EBUSY: somebody has it mounted or claimed.
    std::function<Status(const std::string& node)> check_unused;
    /// Writes what the page cache has of the block device. It is being served.
    std::function<Status(const std::string& node)> write_back;
    /// Bounds how long the kernel waits for a server that has died with all tags.
    std::function<Status(const std::string& node)> limit_silence;
    /// Between two attempts to recover a device.
    std::chrono::milliseconds retry_pause = std::chrono::seconds(10);
    /// For start(), by who opens storage meanwhile.
    std::chrono::milliseconds start_patience = std::chrono::seconds(10);

    static Surroundings of(core::Runtime& runtime, ControlProcess control);
};

class UblkService final : public core::Service {
  public:
    UblkService(core::Runtime& runtime, Surroundings world);
    UblkService(const UblkService&) = delete;
    UblkService& operator=(const UblkService&) = delete;
    UblkService(UblkService&&) = delete;
    UblkService& operator=(UblkService&&) = delete;
    /// With the queues' rings the kernel lets the devices go that stop() has left.
    ~UblkService() override;

    [[nodiscard]] std::string_view name() const override { return "ublk"; }
    /// Goes on with what a predecessor left.
    Status start() override;
    /// Leaves all devices to the next daemon; removes those that the kernel does not keep.
    void stop(std::function<void(bool clean)> stopped) override;
    [[nodiscard]] std::vector<core::DeviceStatus> list() const override;
    [[nodiscard]] Result<std::shared_ptr<core::TraceTap>> trace(const std::string& name) override;
    /// Also one that a predecessor served, which is known when start() has looked.
    [[nodiscard]] bool serves_disk(const std::string& disk) override;
    void add_device(core::NewDevice wanted, Added done) override;
    void remove_device(const std::string& name, bool force, Removed done) override;
    void resize_device(const std::string& name, std::uint64_t size, bool recreate,
                       Resized done) override;

  private:
    using Call = std::move_only_function<void()>;
    /// A device from the moment it is asked for, or found. `mutex_` guards its members, unless they
    /// say otherwise.
    struct Served {
        core::NewDevice wanted;   // but for its size it does not change
        bool take_over = false;   // its storage is that of a device before it
        std::mutex step;          // held by the one worker that brings it up, or ends it
        DeviceRecord record;      // under step; identity 0: none was written
        std::uint64_t found = 0;  // identity of the one that a predecessor wrote; does not change
        std::uint64_t size = 0;   // bytes that the kernel's device has; changed under step as well
        core::DeviceState state = core::DeviceState::kOpening;
        std::optional<std::uint32_t> dev_id;
        std::vector<core::EngineQueue*> queues;  // one per hardware queue; none: not fetched
        std::unique_ptr<Device> device;
        std::unique_ptr<Device> left_behind;  // its storage closed, its tags with the kernel
        bool recoverable = false;             // by the next daemon
        bool recovering = false;              // recover() has it, and looks at `removed` itself
        Added added;                          // until it is answered
        std::optional<Error> failed;          // why it is not served
        std::vector<Removed> removed;         // who waits for its end
        Resized resized;                      // who waits for one of another size in its place
        std::uint64_t storage_before = 0;     // under step: bytes, before it grew for that one
        std::vector<Call> settled;            // to make when it comes to stay, or has gone
        bool force = false;                   // one of them wants it at any price
        bool left = false;                    // the daemon stops, and the next one may have it
        bool given_up = false;                // the daemon stops, and it still runs
        /// The handler is closed for the next daemon to open. Any thread.
        const std::shared_ptr<std::atomic<bool>> handing_over =
            std::make_shared<std::atomic<bool>>(false);
        /// Set with dev_id, for what its handler logs.
        const std::shared_ptr<host::LateName> name = std::make_shared<host::LateName>();
    };
    using Entry = std::shared_ptr<Served>;

    // ublk_service.cpp: which devices there are
    [[nodiscard]] Status open_control();
    [[nodiscard]] Status prepare();
    void go_on_with_left();
    [[nodiscard]] Status find_left();
    void find_left_by_and_by();
    [[nodiscard]] Entry find(std::uint32_t dev_id) const;
    void forget(const Entry& entry, const Status& status = {});
    void settle(const Entry& entry);
    void check_stopped();
    void on_worker(const Entry& entry, void (UblkService::*step)(const Entry&));
    static void answer(std::vector<Removed> removed, const Status& status);

    // bring_up.cpp
    void bring_up(const Entry& entry);
    [[nodiscard]] Status make(const Entry& entry);
    [[nodiscard]] static Status check_queues(const Entry& entry, const DeviceInfo& storage);
    [[nodiscard]] host::OpenDevice open_request(const Entry& entry, bool take_over) const;
    [[nodiscard]] Status write_record(const Entry& entry, const DeviceInfo& block) const;
    [[nodiscard]] Status fetch(const Entry& entry, std::unique_ptr<BlockDevice> block,
                               const abi::DeviceInfo& info);
    void limit_silence(const Entry& entry) const;
    /// What was asked for before it served.
    struct Asked {
        bool stop = false;
        bool removal = false;
        bool force = false;
    };
    [[nodiscard]] Asked serving(const Entry& entry);
    void catch_up(const Entry& entry, Asked meanwhile);
    void undo(const Entry& entry, const Error& why);
    void keep_failed(const Entry& entry, const Error& why);
    [[nodiscard]] std::vector<core::EngineQueue*> assign_queues(std::size_t count);
    void release_queues(const std::vector<core::EngineQueue*>& queues);

    // recovery.cpp
    void recover(const Entry& entry);
    [[nodiscard]] bool still_waits(const Entry& entry) const;
    [[nodiscard]] Status resume(const Entry& entry);
    [[nodiscard]] Status fetch_marked(const Entry& entry, std::unique_ptr<BlockDevice> block,
                                      const abi::DeviceInfo& info);
    [[nodiscard]] Status start_recovery(const Entry& entry);
    [[nodiscard]] Status end_recovery(const Entry& entry);
    [[nodiscard]] bool is_left_by_stop(const Entry& entry, const Error& why);
    [[nodiscard]] bool pause(const Entry& entry, std::chrono::milliseconds duration);
    [[nodiscard]] bool try_again(const Entry& entry, const Error& why);

    // device_end.cpp
    void take_down(const Entry& entry, bool force);
    void stop_device(const Entry& entry, core::DeviceState before, bool force);
    [[nodiscard]] Status let_go(std::uint32_t dev_id, bool force) const;
    void stays(const Entry& entry, core::DeviceState state, const Error& why, bool by_kernel);
    void ended(const Entry& entry);
    void stop_serving(const Entry& entry);
    void leave(const Entry& entry);
    void remove_unknown(const Entry& entry, bool force);
    [[nodiscard]] Status remove_orphan(std::uint32_t dev_id, bool force);
    [[nodiscard]] Status remove_unserved(std::uint32_t dev_id, bool force) const;
    [[nodiscard]] Status remove_stopped(std::uint32_t dev_id) const;

    // resize.cpp
    void resize(const Entry& entry, std::uint64_t size, bool recreate, Resized done);
    [[nodiscard]] Status check_resize(const Entry& entry, std::uint64_t size) const;
    [[nodiscard]] bool kernel_resizes() const;
    [[nodiscard]] Status update_size(const Entry& entry, std::uint64_t size);
    [[nodiscard]] Status tell_size(const Entry& entry, std::uint64_t size);
    void set_size(const Entry& entry, std::uint64_t size);
    [[nodiscard]] Status record_size(const Entry& entry, std::uint64_t size);
    [[nodiscard]] Status begin_recreation(const Entry& entry, std::uint64_t size, Resized& done);
    void shrink_storage(const Entry& entry, Device& device);
    [[nodiscard]] static Entry successor(const Entry& entry);
    void not_resized(const Entry& entry, Resized resized, const Error& why);
    static void restore_storage(const Entry& entry);

    core::Runtime& runtime_;
    const Surroundings world_;
    std::optional<DeviceFolder> folder_;  // does not change after start(); none: no recovery
    std::mutex prepare_mutex_;
    std::optional<ControlDevice> control_;    // made once, under prepare_mutex_
    std::unique_ptr<TrustedThread> trusted_;  // the same; outlives the queues
    std::unique_ptr<DeviceQueues> queues_;    // the same; assigned and released under mutex_

    mutable std::mutex mutex_;
    std::condition_variable changed_;  // stopping_, started_, or somebody wants a device removed
    std::vector<Entry> entries_;
    std::function<void(bool)> stopped_;  // until it is told
    bool started_ = false;               // as far as it will: what a predecessor left is known
    std::optional<Error> untold_;        // the kernel does not tell what a predecessor left
    bool stopping_ = false;

    core::CountedCalls steps_;
};

/// The real one; what `runtime` refers to outlives it.
[[nodiscard]] std::unique_ptr<core::Service> make_ublk_service(core::Runtime& runtime,
                                                               ControlProcess control);

}  // namespace lunkit::ublk
