// SPDX-License-Identifier: Apache-2.0
// UblkService: the ublk front end. Devices are made and removed as the daemon is asked; each step
// of that blocks in the kernel or in a handler, and runs on a worker.
//
// A device ends in one way, whoever wants it: the kernel stops it (STOP_DEV) and gives back its
// tags; when the last one is back, a worker closes what serves it and removes it (DEL_DEV). So a
// device that another program stops or removes goes as well.
//
// A device that this daemon does not serve, because the one that did has died or was another
// program, can be removed too, once nobody serves it.
//
// Its queues (device_queues.hpp) are made with the first device.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/service.hpp"
#include "host/handler_registry.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/result.hpp"
#include "ublk/control_device.hpp"
#include "ublk/device.hpp"
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
    /// Bounds how long the kernel waits for a server that has died with all tags.
    std::function<Status(std::uint32_t dev_id)> limit_silence;

    static Surroundings of(core::Runtime& runtime);
};

class UblkService final : public core::Service {
  public:
    UblkService(core::Runtime& runtime, Surroundings world);
    UblkService(const UblkService&) = delete;
    UblkService& operator=(const UblkService&) = delete;
    UblkService(UblkService&&) = delete;
    UblkService& operator=(UblkService&&) = delete;
    ~UblkService() override;

    [[nodiscard]] std::string_view name() const override { return "ublk"; }
    Status start() override { return world_.find_kernel(); }
    /// Removes all devices. What still hangs after the limit is the main program's to leave behind.
    void stop(std::function<void(bool clean)> stopped) override;
    [[nodiscard]] std::vector<core::DeviceStatus> list() const override;
    void add_device(core::NewDevice wanted, Added done) override;
    void remove_device(const std::string& name, bool force, Removed done) override;

  private:
    /// A device from the moment it is asked for. `mutex_` guards its members, unless they say
    /// otherwise.
    struct Served {
        core::NewDevice wanted;  // does not change
        std::mutex step;         // held by the one worker that brings it up, or ends it
        core::DeviceState state = core::DeviceState::kOpening;
        std::optional<std::uint32_t> dev_id;
        core::EngineQueue* queue = nullptr;
        std::unique_ptr<Device> device;
        Added added;                   // until it is answered
        std::optional<Error> failed;   // why it could not be brought up
        std::vector<Removed> removed;  // who waits for its end
        bool given_up = false;         // the daemon stops, and the kernel does not let it go
    };
    using Entry = std::shared_ptr<Served>;

    [[nodiscard]] Status open_control();
    [[nodiscard]] Status prepare();
    [[nodiscard]] Entry find(std::uint32_t dev_id) const;
    static void answer(std::vector<Removed> removed, const Status& status);
    void bring_up(const Entry& entry);
    [[nodiscard]] Status make(const Entry& entry);
    [[nodiscard]] Result<DeviceParts> open_parts(const Entry& entry,
                                                 std::unique_ptr<BlockDevice> block,
                                                 const abi::DeviceInfo& info);
    [[nodiscard]] Status begin_serving(const Entry& entry);
    void keep_failed(const Entry& entry, const Error& why);
    [[nodiscard]] core::EngineQueue& assign_queue();
    void release_queue(core::EngineQueue& queue);
    void take_down(const Entry& entry, bool force);
    void stays(const Entry& entry, core::DeviceState state, const Error& why, bool by_kernel);
    void ended(const Entry& entry);
    [[nodiscard]] Status remove_orphan(std::uint32_t dev_id, bool force);
    void forget(const Entry& entry, const Status& status = {});
    void check_stopped();
    void on_worker(const Entry& entry, void (UblkService::*step)(const Entry&));

    core::Runtime& runtime_;
    const Surroundings world_;
    std::mutex prepare_mutex_;
    std::optional<ControlDevice> control_;    // made once, under prepare_mutex_
    std::unique_ptr<TrustedThread> trusted_;  // the same; outlives the queues
    std::unique_ptr<DeviceQueues> queues_;    // the same; assigned and released under mutex_

    mutable std::mutex mutex_;
    std::vector<Entry> entries_;
    std::function<void(bool)> stopped_;  // until it is told
    bool stopping_ = false;
};

/// The real one; what `runtime` refers to outlives it.
[[nodiscard]] std::unique_ptr<core::Service> make_ublk_service(core::Runtime& runtime);

}  // namespace lunkit::ublk
