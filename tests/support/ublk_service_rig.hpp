// SPDX-License-Identifier: Apache-2.0
// UblkServiceRig: a UblkService in a world of the test's own: ublk_drv as far as the service knows
// it (control commands, and the tags of one device at a time), storage in memory, and a queue whose
// loop runs on a thread of the rig.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "core/queue_set.hpp"
#include "support/child_process.hpp"
#include "support/fake_engine_queue.hpp"
#include "support/memory_device.hpp"
#include "support/ublk_driver.hpp"
#include "ublk/ublk_service.hpp"

namespace lunkit::test {

class UblkServiceRig {
  public:
    UblkServiceRig()
        : workers_(*core::QueueSet::start(core::EngineChoice::kThreads, 1,
                                          std::chrono::microseconds(0))),
          runtime_{*workers_, handlers_, settings} {
        settings.run_dir = run_.path();
    }
    UblkServiceRig(const UblkServiceRig&) = delete;
    UblkServiceRig& operator=(const UblkServiceRig&) = delete;
    UblkServiceRig(UblkServiceRig&&) = delete;
    UblkServiceRig& operator=(UblkServiceRig&&) = delete;
    ~UblkServiceRig() {
        service.reset();  // its queues before what they use of the rig
    }

    /// A daemon begins; the one before, if any, ends.
    void start() {
        make();
        ASSERT_TRUE(service->start());
    }
    /// One that has not started its service yet.
    void make() {
        service.reset();
        service = std::make_unique<ublk::UblkService>(runtime_, world());
    }
    /// The daemon stops; whether it was clean.
    bool stop() {
        std::promise<bool> clean;
        service->stop([&clean](bool is_clean) { clean.set_value(is_clean); });
        return clean.get_future().get();
    }
    Result<std::string> add(const std::string& config, std::optional<std::uint32_t> number = {},
                            std::uint32_t queues = 1) {
        core::NewDevice wanted;
        wanted.config = config;
        wanted.number = number;
        wanted.queues = queues;
        std::promise<Result<std::string>> answer;
        service->add_device(std::move(wanted), [&answer](Result<std::string> node) {
            answer.set_value(std::move(node));
        });
        return answer.get_future().get();
    }
    std::future<Status> begin_remove(const std::string& name, bool force = false) {
        auto answer = std::make_shared<std::promise<Status>>();
        service->remove_device(name, force,
                               [answer](Status status) { answer->set_value(std::move(status)); });
        return answer->get_future();
    }
    Status remove(const std::string& name, bool force = false) {
        return begin_remove(name, force).get();
    }
    std::future<Status> begin_resize(const std::string& name, std::uint64_t size,
                                     bool recreate = false) {
        auto answer = std::make_shared<std::promise<Status>>();
        service->resize_device(name, size, recreate,
                               [answer](Status status) { answer->set_value(std::move(status)); });
        return answer->get_future();
    }
    Status resize(const std::string& name, std::uint64_t size, bool recreate = false) {
        return begin_resize(name, size, recreate).get();
    }
    /// Waits until the only device is in that state.
    bool becomes(core::DeviceState state) const {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (only_device().state != state || service->list().size() != 1) {
            if (std::chrono::steady_clock::now() >= deadline) {
                return false;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return true;
    }
    bool becomes_empty() const {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (!service->list().empty() && std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return service->list().empty();
    }
    /// What is written of devices for the next daemon.
    [[nodiscard]] ublk::DeviceFolder folder() const {
        return *ublk::DeviceFolder::open(run_.path());
    }
    [[nodiscard]] std::vector<ublk::DeviceRecord> records() const { return folder().read_all(); }
    void write_record(const ublk::DeviceRecord& record) const {
        ASSERT_TRUE(folder().write(record));
    }
    /// The only device that the service tells of.
    [[nodiscard]] core::DeviceStatus only_device() const {
        const auto all = service->list();
        return all.size() == 1 ? all.front() : core::DeviceStatus();
    }

    // The kernel. What the test sets it sets before start(), or while nothing is asked of it.
    std::map<std::uint32_t, ublk::abi::DeviceInfo> devices;
    std::map<std::uint32_t, int> answers;             ///< by command; others are carried out
    std::uint64_t offered_flags = ~std::uint64_t{0};  ///< of those that are asked for
    std::uint64_t features = 0;                       ///< what GET_FEATURES says
    std::uint64_t sectors = 0;                        ///< what the last UPDATE_SIZE said
    std::atomic<int> busy_recoveries{0};              ///< START_USER_RECOVERYs to refuse first
    void refuse_fetches(int taken_before = 0) {
        queue_.command_refusal = -EINVAL;
        queue_.commands_taken = taken_before;
    }
    /// The commands so far, and of which devices. Not those that only ask.
    [[nodiscard]] std::vector<std::uint32_t> sent() {
        const std::lock_guard lock(mutex_);
        return sent_;
    }
    void answer_with(std::uint32_t op, std::optional<int> answer) {
        const std::lock_guard lock(mutex_);
        answers.erase(op);
        if (answer) {
            answers[op] = *answer;
        }
    }

    // The machine.
    std::function<Status()> check_unused = [] { return Status(); };
    std::chrono::milliseconds start_patience = std::chrono::seconds(10);
    std::atomic<bool> storage_fails{false};
    /// How storage was opened, and whether it was closed for a successor.
    struct Opened {
        host::OpenDevice request;
        bool handed_over = false;
    };
    [[nodiscard]] std::vector<Opened> opened() {
        const std::lock_guard lock(mutex_);
        return opened_;
    }
    /// It changes by itself, and tells.
    void change_storage(std::uint64_t size) {
        storage_size_ = size;
        opened().back().request.size_changed(size);
    }
    /// Sizes that it was asked to have while its device was live.
    [[nodiscard]] std::vector<std::uint64_t> live_resizes() {
        const std::lock_guard lock(mutex_);
        return live_resizes_;
    }
    std::atomic<bool> storage_shrinks{true};
    core::Settings settings;
    std::unique_ptr<ublk::UblkService> service;

  private:
    /// One queue, whose loop runs on a thread of its own while the service has it.
    class Queues final : public ublk::DeviceQueues {
      public:
        explicit Queues(UblkServiceRig& rig)
            : rig_(rig), thread_([&rig](const std::stop_token& stop) { rig.turn_until(stop); }) {}
        ~Queues() override {
            thread_ = {};
            rig_.close_ring();
        }
        Queues(const Queues&) = delete;
        Queues& operator=(const Queues&) = delete;
        Queues(Queues&&) = delete;
        Queues& operator=(Queues&&) = delete;
        core::EngineQueue& assign() override { return rig_.queue_; }
        void release(core::EngineQueue& /*queue*/) override {}

      private:
        UblkServiceRig& rig_;
        std::jthread thread_;
    };

    ublk::Surroundings world() {
        ublk::Surroundings world;
        world.find_kernel = [] { return Status(); };
        world.find_devices = [this] {
            const std::lock_guard lock(mutex_);
            std::vector<std::uint32_t> found;
            for (const auto& [dev_id, info] : devices) {
                found.push_back(dev_id);
            }
            return found;
        };
        world.start_queues = [this]() -> Result<std::unique_ptr<ublk::DeviceQueues>> {
            return std::make_unique<Queues>(*this);
        };
        world.open_control = [this]() -> Result<ublk::ControlDevice> {
            return ublk::ControlDevice(
                [this](std::uint32_t op, std::span<const std::byte> payload) {
                    return Result<int>(control(op, payload));
                });
        };
        world.open_chars = [this](std::uint32_t) -> Result<ublk::CharDevice> {
            return driver_.open();
        };
        world.open_block = [this](const host::OpenDevice& request) { return open(request); };
        world.check_unused = [this](const std::string&) { return check_unused(); };
        world.write_back = [](const std::string&) { return Status(); };
        world.retry_pause = std::chrono::milliseconds(1);
        world.start_patience = start_patience;
        world.limit_silence = [](const std::string&) { return Status(); };
        return world;
    }

    int control(std::uint32_t op, std::span<const std::byte> payload) {
        ublk::abi::ControlCommand command{};
        std::memcpy(&command, payload.data(), sizeof command);
        const std::lock_guard lock(mutex_);
        if (op != ublk::abi::kGetDevInfo && op != ublk::abi::kGetFeatures) {
            sent_.push_back(op);
        }
        const auto planned = answers.find(op);
        return planned != answers.end() ? planned->second : carry_out(op, command);
    }
    int carry_out(std::uint32_t op, const ublk::abi::ControlCommand& command) {
        using namespace ublk::abi;  // NOLINT(google-build-using-namespace): all of it is needed
        auto* const buffer = reinterpret_cast<void*>(static_cast<std::uintptr_t>(command.addr));
        ublk::abi::DeviceInfo info{};
        if (op == kAddDev) {
            std::memcpy(&info, buffer, sizeof info);
            info.dev_id = info.dev_id == kAnyDevice ? 4 : info.dev_id;
            info.queue_depth = 2;
            info.state = kStateDead;
            info.ublksrv_pid = -1;
            info.flags &= offered_flags;
            std::memcpy(buffer, &info, sizeof info);
            return devices.emplace(info.dev_id, info).second ? 0 : -EEXIST;
        }
        if (op == kGetFeatures) {
            std::memcpy(buffer, &features, sizeof features);
            return 0;
        }
        const auto found = devices.find(command.dev_id);
        if (found == devices.end()) {
            return -ENODEV;
        }
        switch (op) {
            case kGetDevInfo:
                std::memcpy(buffer, &found->second, sizeof info);
                return 0;
            case kUpdateSize:
                sectors = command.data;
                return 0;
            case kStartDev:
                found->second.state = kStateLive;
                found->second.ublksrv_pid = static_cast<std::int32_t>(command.data);
                return 0;
            case kStopDev:
                found->second.state = kStateDead;
                takes_tags_back_.store(true);
                return 0;
            case kStartUserRecovery:
                return found->second.state != kStateQuiesced || busy_recoveries-- > 0 ? -EBUSY : 0;
            case kEndUserRecovery:
                found->second.state = kStateLive;
                found->second.ublksrv_pid = static_cast<std::int32_t>(command.data);
                return 0;
            case kDelDev:
                devices.erase(found);
                return 0;
            default:
                return 0;
        }
    }

    /// The kernel takes back what the ring had, and waits for the next server.
    void close_ring() {
        while (!queue_.commands.empty()) {
            queue_.answer_command(0, -ECANCELED);
        }
        queue_.settle();
        const std::lock_guard lock(mutex_);
        for (auto& [dev_id, info] : devices) {
            if (info.state == ublk::abi::kStateLive && ublk::is_recoverable(info)) {
                info.state = ublk::abi::kStateQuiesced;
            }
        }
    }

    /// Storage that tells when it is closed.
    class Storage final : public BlockDevice {
      public:
        Storage(UblkServiceRig& rig, std::size_t number)
            : rig_(rig), number_(number), memory_(kStorageBytes) {
            memory_.properties.parallel = rig.opened_[number].request.config == "ram/parallel";
        }
        ~Storage() override {
            const std::lock_guard lock(rig_.mutex_);
            Opened& opened = rig_.opened_[number_];
            opened.handed_over = opened.request.handing_over();
        }
        Storage(const Storage&) = delete;
        Storage& operator=(const Storage&) = delete;
        Storage(Storage&&) = delete;
        Storage& operator=(Storage&&) = delete;
        [[nodiscard]] DeviceInfo info() const override {
            DeviceInfo info = memory_.info();
            info.size = rig_.storage_size_;
            return info;
        }
        Task<Status> read(Queue& queue, const IoRequest& io) override {
            return memory_.read(queue, io);
        }
        Task<Status> write(Queue& queue, const IoRequest& io) override {
            return memory_.write(queue, io);
        }
        Task<Status> flush(Queue& queue) override { return memory_.flush(queue); }
        Status resize(std::uint64_t size) override {
            if (size > kMostStorage) {
                return failure(ENOSPC, "there is no room");
            }
            if (size < rig_.storage_size_ && !rig_.storage_shrinks) {
                return failure(EOPNOTSUPP, "it does not shrink");
            }
            const std::lock_guard lock(rig_.mutex_);
            if (std::ranges::any_of(rig_.devices, [](const auto& device) {
                    return device.second.state == ublk::abi::kStateLive;
                })) {
                rig_.live_resizes_.push_back(size);
            }
            rig_.storage_size_ = size;
            return {};
        }

      private:
        UblkServiceRig& rig_;
        const std::size_t number_;
        MemoryDevice memory_;
    };

    Result<std::unique_ptr<BlockDevice>> open(const host::OpenDevice& request) {
        if (request.config == "ram/missing" || storage_fails.load()) {
            return failure(ENOENT, "it is missing");
        }
        const std::lock_guard lock(mutex_);
        opened_.push_back({.request = request});
        return std::make_unique<Storage>(*this, opened_.size() - 1);
    }

    void turn_until(const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            if (takes_tags_back_.exchange(false)) {
                while (!queue_.commands.empty()) {
                    queue_.answer_command(0, -ENODEV);
                }
            }
            if (!queue_.turn()) {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
        }
    }

    static constexpr std::uint64_t kStorageBytes = 1U << 20U;
    static constexpr std::uint64_t kMostStorage = 1U << 30U;

    TemporaryFolder run_;
    std::unique_ptr<core::QueueSet> workers_;
    host::HandlerRegistry handlers_;
    core::Runtime runtime_;
    std::mutex mutex_;
    std::vector<std::uint32_t> sent_;          // under mutex_
    std::vector<Opened> opened_;               // the same
    std::vector<std::uint64_t> live_resizes_;  // the same
    UblkDriver driver_;
    FakeEngineQueue queue_;  // of the thread that turns it, but for post()
    std::atomic<bool> takes_tags_back_{false};
    std::atomic<std::uint64_t> storage_size_{kStorageBytes};
};

}  // namespace lunkit::test
