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
          runtime_{*workers_, handlers_, settings} {}
    UblkServiceRig(const UblkServiceRig&) = delete;
    UblkServiceRig& operator=(const UblkServiceRig&) = delete;
    UblkServiceRig(UblkServiceRig&&) = delete;
    UblkServiceRig& operator=(UblkServiceRig&&) = delete;
    ~UblkServiceRig() {
        service.reset();  // its queues before what they use of the rig
    }

    /// A daemon begins.
    void start() {
        service = std::make_unique<ublk::UblkService>(runtime_, world());
        ASSERT_TRUE(service->start());
    }
    /// The daemon stops; whether it was clean.
    bool stop() {
        std::promise<bool> clean;
        service->stop([&clean](bool is_clean) { clean.set_value(is_clean); });
        return clean.get_future().get();
    }
    Result<std::string> add(const std::string& config, std::optional<std::uint32_t> number = {}) {
        core::NewDevice wanted;
        wanted.config = config;
        wanted.number = number;
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
    /// The only device that the service tells of.
    [[nodiscard]] core::DeviceStatus only_device() const {
        const auto all = service->list();
        return all.size() == 1 ? all.front() : core::DeviceStatus();
    }

    // The kernel. What the test sets it sets before start(), or while nothing is asked of it.
    std::map<std::uint32_t, ublk::abi::DeviceInfo> devices;
    std::map<std::uint32_t, int> answers;  ///< by command; others are carried out
    void refuse_fetches() { queue_.command_refusal = -EINVAL; }
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
    core::Settings settings;
    std::unique_ptr<ublk::UblkService> service;

  private:
    /// One queue, whose loop runs on a thread of its own while the service has it.
    class Queues final : public ublk::DeviceQueues {
      public:
        explicit Queues(UblkServiceRig& rig)
            : rig_(rig), thread_([&rig](const std::stop_token& stop) { rig.turn_until(stop); }) {}
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
        world.open_block =
            [](const host::OpenDevice& request) -> Result<std::unique_ptr<BlockDevice>> {
            if (request.config == "ram/missing") {
                return failure(ENOENT, "it is missing");
            }
            return std::make_unique<MemoryDevice>(1U << 20U);
        };
        world.check_unused = [this](const std::string&) { return check_unused(); };
        world.limit_silence = [](std::uint32_t) { return Status(); };
        return world;
    }

    int control(std::uint32_t op, std::span<const std::byte> payload) {
        ublk::abi::ControlCommand command{};
        std::memcpy(&command, payload.data(), sizeof command);
        const std::lock_guard lock(mutex_);
        if (op != ublk::abi::kGetDevInfo) {
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
            std::memcpy(buffer, &info, sizeof info);
            return devices.emplace(info.dev_id, info).second ? 0 : -EEXIST;
        }
        const auto found = devices.find(command.dev_id);
        if (found == devices.end()) {
            return -ENODEV;
        }
        switch (op) {
            case kGetDevInfo:
                std::memcpy(buffer, &found->second, sizeof info);
                return 0;
            case kStartDev:
                found->second.state = kStateLive;
                found->second.ublksrv_pid = static_cast<std::int32_t>(command.data);
                return 0;
            case kStopDev:
                found->second.state = kStateDead;
                takes_tags_back_.store(true);
                return 0;
            case kDelDev:
                devices.erase(found);
                return 0;
            default:
                return 0;
        }
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

    std::unique_ptr<core::QueueSet> workers_;
    host::HandlerRegistry handlers_;
    core::Runtime runtime_;
    std::mutex mutex_;
    std::vector<std::uint32_t> sent_;  // under mutex_
    UblkDriver driver_;
    FakeEngineQueue queue_;  // of the thread that turns it, but for post()
    std::atomic<bool> takes_tags_back_{false};
};

}  // namespace lunkit::test
