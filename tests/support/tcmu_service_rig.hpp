// SPDX-License-Identifier: Apache-2.0
// TcmuServiceRig: a whole TcmuService on real queues, with a kernel that is made of a folder
// (FakeKernelTree), a list of events (FakeKernelEvents) and one TcmuKernelModel per device.
//
// Configurations: "ram/<anything>" is a MemoryDevice; "ram/full" fails with ENOSPC; "ram/stuck"
// waits for let_go(). Everything else belongs to somebody else.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "core/queue_set.hpp"
#include "host/handler_registry.hpp"
#include "lunkit/block_device.hpp"
#include "support/fake_event_channel.hpp"
#include "support/fake_kernel_tree.hpp"
#include "support/memory_device.hpp"
#include "support/tcmu_kernel_model.hpp"
#include "tcmu/tcmu_service.hpp"

namespace lunkit::test {

class TcmuServiceRig {
  public:
    static constexpr std::uint64_t kSize = 1 << 20;
    using Kind = tcmu::DeviceEvent::Kind;

    TcmuServiceRig() {
        settings.run_dir = tree.run_dir();
        settings.drain_timeout = std::chrono::seconds(10);
        queues =
            *core::QueueSet::start(core::EngineChoice::kThreads, 2, std::chrono::microseconds(0));
        runtime = std::make_unique<core::Runtime>(
            core::Runtime{.queues = *queues, .handlers = handlers, .settings = settings});
    }
    TcmuServiceRig(const TcmuServiceRig&) = delete;
    TcmuServiceRig& operator=(const TcmuServiceRig&) = delete;
    TcmuServiceRig(TcmuServiceRig&&) = delete;
    TcmuServiceRig& operator=(TcmuServiceRig&&) = delete;
    ~TcmuServiceRig() {
        let_go();
        if (service) {
            stop();
        }
        queues.reset();  // workers end before what they use
    }

    /// A device of the kernel; its folder, node and memory.
    TcmuKernelModel& add_device(std::uint32_t minor, const std::string& name, bool enabled,
                                const std::string& config = "ram/x") {
        auto model = std::make_unique<TcmuKernelModel>();
        TcmuKernelModel& made = *model;
        {
            const std::lock_guard lock(mutex_);
            models_[minor] = std::move(model);
        }
        tree.add_configfs("user_0/" + name, id_of(minor), kSize, enabled, config);
        tree.add_uio(minor, "tcm-user/0/" + name + "/" + config, made.map_size());
        return made;
    }
    /// The kernel has refused it; its minor number is free again.
    void remove_device(std::uint32_t minor, const std::string& name) {
        tree.remove_uio(minor);
        std::filesystem::remove_all(tree.folder("user_0/" + name));
        const std::lock_guard lock(mutex_);
        models_.erase(minor);
    }
    static std::uint32_t id_of(std::uint32_t minor) { return minor + 100; }

    tcmu::DeviceEvent event(Kind kind, std::uint32_t minor, const std::string& name,
                            const std::string& config = "ram/x") {
        return {.kind = kind,
                .name = "tcm-user/0/" + name + "/" + config,
                .minor = minor,
                .device_id = id_of(minor),
                .change = {}};
    }
    template <typename Change>
    tcmu::DeviceEvent reconfig(std::uint32_t minor, const std::string& name, Change change) {
        tcmu::DeviceEvent made = event(Kind::kReconfig, minor, name);
        made.change = std::move(change);
        return made;
    }

    void start() {
        tcmu::Surroundings world;
        world.paths = tree.paths;
        world.configfs_time = configfs_time;
        world.turn_time = turn_time;
        world.retry_time = retry_time;
        world.ensure_kernel = [] { return Status{}; };
        world.open_channel = [this]() -> Result<std::unique_ptr<tcmu::EventChannel>> {
            return std::make_unique<FakeEventChannel>(kernel);
        };
        world.open_uio = [this](std::uint32_t minor) { return open_uio(minor); };
        world.knows = [](std::string_view config) { return config.starts_with("ram/"); };
        world.open_block = [this](host::OpenDevice request) {
            return open_block(std::move(request));
        };
        world.serial_of_disk = [this](const std::string& disk) {
            return disk == "sda" ? serial_of_sda : std::string();
        };
        service = std::make_unique<tcmu::TcmuService>(*runtime, std::move(world));
        const Status started = service->start();
        ASSERT_TRUE(started.has_value()) << started.error().what;
        if (models_.empty()) {
            // It has looked around when it answers: what the test adds comes by events only.
            ASSERT_EQ(ask(event(Kind::kRemoved, 9999, "nothing")), 0);
        }
    }
    /// Waits until so many devices are served, for twenty seconds.
    void wait_for_running(std::size_t count) const {
        const auto running = [this] {
            std::size_t found = 0;
            for (const core::DeviceStatus& device : service->list()) {
                found += device.state == core::DeviceState::kRunning ? 1 : 0;
            }
            return found;
        };
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (running() < count) {
            ASSERT_LT(std::chrono::steady_clock::now(), end);
            std::this_thread::yield();
        }
    }
    void stop(bool expect_clean = true) {
        std::promise<bool> stopped;
        service->stop([&stopped](bool clean) { stopped.set_value(clean); });
        auto clean = stopped.get_future();
        ASSERT_EQ(clean.wait_for(std::chrono::seconds(20)), std::future_status::ready);
        EXPECT_EQ(clean.get(), expect_clean);
        service.reset();
    }
    /// Sends an event and gives the result of its answer.
    int ask(tcmu::DeviceEvent sent) {
        const Kind kind = sent.kind;
        const std::uint32_t id = *sent.device_id;
        kernel.send(std::move(sent));
        const std::optional<Answer> answer = kernel.next_answer();
        EXPECT_TRUE(answer.has_value());
        EXPECT_EQ(answer ? answer->kind : kind, kind);
        EXPECT_EQ(answer ? answer->device_id : id, id);
        return answer ? answer->result : -1;
    }
    /// Whether a command runs through the device now.
    static bool serves(TcmuKernelModel& model) {
        const auto id = model.read({0, 0, 0, 0, 0, 0}, 0);
        model.notify();
        while (id && !model.results().contains(*id)) {
            if (!model.wait_for_kick()) {
                return false;
            }
        }
        return id.has_value() && model.broken().empty();
    }
    /// Ends the waiting of "ram/stuck".
    void let_go() {
        const std::lock_guard lock(mutex_);
        free_ = true;
        changed_.notify_all();
    }
    /// Waits until so many block devices have been closed.
    bool wait_for_closed(int count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return closed_ >= count; });
    }
    int closed() {
        const std::lock_guard lock(mutex_);
        return closed_;
    }
    bool wait_for_opening(int count = 1) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return stuck_ >= count; });
    }

    FakeKernelTree tree;
    FakeKernelEvents kernel;
    core::Settings settings;
    std::chrono::milliseconds configfs_time{10'000};
    std::chrono::milliseconds turn_time{10'000};
    std::chrono::milliseconds retry_time{10'000};
    host::HandlerRegistry handlers;
    std::unique_ptr<core::QueueSet> queues;
    std::unique_ptr<core::Runtime> runtime;
    std::unique_ptr<tcmu::TcmuService> service;
    std::string serial_of_sda;
    std::atomic<int> resizes{0};
    std::atomic<int> resize_error{0};
    std::atomic<bool> nodes_hang{false};    // until let_go()
    std::atomic<bool> resizes_hang{false};  // likewise
    std::atomic<bool> flushes_hang{false};  // likewise
    std::chrono::milliseconds closing_takes{0};
    std::atomic<bool> took_over{false};
    std::atomic<bool> handed_over{false};             // the device that was closed last
    std::function<void(std::uint64_t)> size_changed;  // of the device opened last

  private:
    /// MemoryDevice with a resize, that tells when it goes.
    class Disk final : public BlockDevice {
      public:
        Disk(TcmuServiceRig& rig, std::function<bool()> handing_over)
            : rig_(rig), handing_over_(std::move(handing_over)) {}
        Disk(const Disk&) = delete;
        Disk& operator=(const Disk&) = delete;
        Disk(Disk&&) = delete;
        Disk& operator=(Disk&&) = delete;
        ~Disk() override {
            std::this_thread::sleep_for(rig_.closing_takes);
            const std::lock_guard lock(rig_.mutex_);
            rig_.handed_over = handing_over_();
            ++rig_.closed_;
            rig_.changed_.notify_all();
        }
        [[nodiscard]] DeviceInfo info() const override {
            DeviceInfo info = memory_.info();
            info.size = size_;
            return info;
        }
        Task<Status> read(Queue& queue, const IoRequest& io) override {
            return memory_.read(queue, io);
        }
        Task<Status> write(Queue& queue, const IoRequest& io) override {
            return memory_.write(queue, io);
        }
        Task<Status> flush(Queue& queue) override {
            if (rig_.flushes_hang) {
                (void)co_await queue.offload(this, [this]() -> std::int64_t {
                    rig_.wait_until_free();
                    return 0;
                });
            }
            Status status = co_await memory_.flush(queue);
            co_return status;
        }
        Status resize(std::uint64_t size) override {
            ++rig_.resizes;
            if (rig_.resizes_hang) {
                rig_.wait_until_free();
            }
            if (const int error = rig_.resize_error; error != 0) {
                return failure(error, "the disk does not want to");
            }
            size_ = size;
            return {};
        }
        void set_size(std::uint64_t size) { size_ = size; }

      private:
        TcmuServiceRig& rig_;
        const std::function<bool()> handing_over_;
        MemoryDevice memory_{kSize};
        std::atomic<std::uint64_t> size_{kSize};
    };

    void wait_until_free() {
        std::unique_lock lock(mutex_);
        ++stuck_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return free_; });
    }
    Result<tcmu::UioNode> open_uio(std::uint32_t minor) {
        if (nodes_hang) {
            wait_until_free();
        }
        const std::lock_guard lock(mutex_);
        if (!models_.contains(minor)) {
            return failure(ENODEV, "no such node");
        }
        TcmuKernelModel& model = *models_.at(minor);
        tcmu::UioNode node;
        node.fd = model.duplicate_user_fd();
        node.map = *core::MemoryMapping::of_file(model.memory_fd(), model.map_size(), "model");
        return node;
    }
    Result<std::unique_ptr<BlockDevice>> open_block(host::OpenDevice request) {
        if (request.config == "ram/full") {
            return failure(ENOSPC, "no space for it");
        }
        if (request.config == "ram/stuck") {
            wait_until_free();
        }
        took_over = request.take_over;
        auto disk = std::make_unique<Disk>(*this, std::move(request.handing_over));
        const std::lock_guard lock(mutex_);
        size_changed = [told = std::move(request.size_changed), disk = disk.get()](auto bytes) {
            disk->set_size(bytes);
            told(bytes);
        };
        return disk;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::uint32_t, std::unique_ptr<TcmuKernelModel>> models_;
    bool free_ = false;
    int stuck_ = 0;
    int closed_ = 0;
};

}  // namespace lunkit::test
