// SPDX-License-Identifier: Apache-2.0
// DmUserService: the dm-user front end. A target is made by a table of device-mapper, which gives
// it a control node; the daemon is asked to serve that, until it is told to stop or the target
// goes. Each step of it may block in a handler, and runs on a worker.
//
// The daemon's own end is none for what it serves: the next one goes on with what is written of
// each target (target_folder.hpp). For as long as that is written, the control node is kept open
// (node_keeper.hpp), so that requests wait in between. A request that a daemon has read and not
// answered when it dies fails; when it is stopped, it answers those first.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/counted_calls.hpp"
#include "core/descriptor_store.hpp"
#include "core/file_identity.hpp"
#include "core/service.hpp"
#include "dm_user/channel.hpp"
#include "dm_user/device.hpp"
#include "dm_user/node_keeper.hpp"
#include "dm_user/target_folder.hpp"
#include "host/handler_registry.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/result.hpp"

namespace lunkit::dm_user {

/// What the service needs of the world; a test has its own.
struct Surroundings {
    std::function<Status()> find_kernel;
    /// ENOENT: there is none.
    std::function<Result<core::FileIdentity>(const std::string& name)> find_node;
    /// ENOTBLK: the node is another one now.
    std::function<Result<std::unique_ptr<Channel>>(const std::string& name,
                                                   const core::FileIdentity& node)>
        open_channel;
    std::function<Result<std::unique_ptr<BlockDevice>>(host::OpenDevice request)> open_block;
    std::shared_ptr<NodeKeeper> keeper;

    static Surroundings of(core::Runtime& runtime, core::DescriptorStore& store);
};

class DmUserService final : public core::Service {
  public:
    /// What `runtime` refers to outlives it.
    DmUserService(core::Runtime& runtime, Surroundings world);
    DmUserService(const DmUserService&) = delete;
    DmUserService& operator=(const DmUserService&) = delete;
    DmUserService(DmUserService&&) = delete;
    DmUserService& operator=(DmUserService&&) = delete;
    /// Waits for its steps on workers to end. No target may be served any more.
    ~DmUserService() override;

    [[nodiscard]] std::string_view name() const override { return "dm-user"; }
    /// Goes on with what a predecessor served.
    Status start() override;
    /// Answers what was read; leaves the targets to the next daemon.
    void stop(std::function<void(bool clean)> stopped) override;
    [[nodiscard]] std::vector<core::DeviceStatus> list() const override;
    [[nodiscard]] Result<std::shared_ptr<core::TraceTap>> trace(const std::string& name) override;
    /// Serves the target called wanted.name. What is served in the same way already is fine.
    /// ENOENT: there is no such target. EALREADY: it is served in another way. EAGAIN: one of that
    /// name was, and has not ended yet.
    void add_device(core::NewDevice wanted, Added done) override;
    /// Ends when what was read is answered. The target stays; nobody asks who uses it.
    void remove_device(const std::string& name, bool force, Removed done) override;

  private:
    /// A target from the moment it is asked for. `mutex_` guards its members, unless they say
    /// otherwise.
    struct Served {
        core::NewDevice wanted;  // does not change
        /// Its record is there, and its storage closed for whoever opens it next: by a predecessor,
        /// or at the end of its channels. Changes with `step` held as well.
        bool is_left = false;
        /// What was left and could not be served, and is wanted in another way now: it comes back
        /// should that fail, since its requests wait. Set before the entry is known to others.
        std::shared_ptr<Served> replaces;
        std::mutex step;  // held by the one worker that brings it up, or ends it
        core::DeviceState state = core::DeviceState::kOpening;
        std::optional<core::FileIdentity> node;  // of the target, from when it was looked for
        core::EngineQueue* queue = nullptr;      // the device's
        std::unique_ptr<Device> device;          // while one of its workers runs
        std::vector<Added> added;                // until they are answered
        std::optional<Error> failed;             // why it is not served
        std::vector<Removed> removed;            // who waits for its end
        bool is_detached = false;                // somebody wanted its end
        bool given_up = false;                   // the daemon stops, and it still runs
        /// The handler is closed for the next daemon to open. Any thread.
        const std::shared_ptr<std::atomic<bool>> handing_over =
            std::make_shared<std::atomic<bool>>(false);
    };
    using Entry = std::shared_ptr<Served>;

    // dm_user_service.cpp: which targets there are
    [[nodiscard]] Entry find(const std::string& name) const;
    void on_worker(const Entry& entry, std::move_only_function<void()> step);
    void forget(const Entry& entry, const Status& added);
    void check_stopped();

    // target_life.cpp: how one comes to be served, and how that ends
    void bring_up(const Entry& entry);
    [[nodiscard]] Status make(const Entry& entry, const core::FileIdentity& node);
    [[nodiscard]] host::OpenDevice open_request(const Entry& entry) const;
    void keep_open(const std::string& name);
    void keep_failed(const Entry& entry, const Error& why);
    void put_back(const Entry& entry, const Error& why);
    void serving(const Entry& entry);
    void take_down(const Entry& entry);
    void ended(const Entry& entry, const Status& why);

    core::Runtime& runtime_;
    const Surroundings world_;
    std::optional<TargetFolder> folder_;  // does not change after start()

    mutable std::mutex mutex_;
    std::vector<Entry> entries_;
    std::function<void(bool)> stopped_;  // until it is told
    bool stopping_ = false;

    core::CountedCalls steps_;  // the last member
};

/// The real one; `store`, and what `runtime` refers to, outlive it.
[[nodiscard]] std::unique_ptr<core::Service> make_dm_user_service(core::Runtime& runtime,
                                                                  core::DescriptorStore& store);
/// In its place: targets that a daemon has left are not to be served any more. Their requests fail.
void abandon_targets(core::DescriptorStore& store);

}  // namespace lunkit::dm_user
