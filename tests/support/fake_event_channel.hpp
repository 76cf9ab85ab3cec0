// SPDX-License-Identifier: Apache-2.0
// FakeEventChannel: the kernel's netlink side. The test sends events; each answer is written down.
// Answers behave as the kernel's do: ENODEV when nothing of that device waits.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "lunkit/unique_fd.hpp"
#include "tcmu/device_event.hpp"

namespace lunkit::test {

struct Answer {
    tcmu::DeviceEvent::Kind kind;
    std::uint32_t device_id;
    int result;
    bool operator==(const Answer&) const = default;
};

/// What both sides share; outlives the channel.
class FakeKernelEvents {
  public:
    void send(tcmu::DeviceEvent event) {
        const std::lock_guard lock(mutex_);
        if (event.device_id) {
            waiting_[*event.device_id] = event.kind;
        }
        events_.push_back(std::move(event));
        wake();
    }
    /// Both are there when the first is heard.
    void send(tcmu::DeviceEvent first, tcmu::DeviceEvent second) {
        const std::lock_guard lock(mutex_);
        waiting_[*first.device_id] = first.kind;
        waiting_[*second.device_id] = second.kind;
        events_.push_back(std::move(first));
        events_.push_back(std::move(second));
        wake();
    }
    /// Another daemon has answered before we hear of it.
    void send_answered(tcmu::DeviceEvent event) {
        const std::lock_guard lock(mutex_);
        events_.push_back(std::move(event));
        wake();
    }
    /// From now on there is nothing to be heard.
    void die() {
        const std::lock_guard lock(mutex_);
        dead_ = true;
        wake();
    }
    /// Something that a predecessor left without an answer; no event comes of it.
    void leave_waiting(std::uint32_t device_id, tcmu::DeviceEvent::Kind kind) {
        const std::lock_guard lock(mutex_);
        waiting_[device_id] = kind;
    }
    /// The next answer; nothing when none comes within ten seconds.
    std::optional<Answer> next_answer() {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, std::chrono::seconds(10),
                               [this] { return taken_ < answers_.size(); })) {
            return std::nullopt;
        }
        return answers_[taken_++];
    }
    [[nodiscard]] std::size_t answers() {
        const std::lock_guard lock(mutex_);
        return answers_.size();
    }
    /// Answers that came when nothing waited, or of another kind (which would hang the kernel).
    [[nodiscard]] std::size_t stray() {
        const std::lock_guard lock(mutex_);
        return stray_;
    }
    [[nodiscard]] std::size_t mismatched() {
        const std::lock_guard lock(mutex_);
        return mismatched_;
    }
    [[nodiscard]] std::optional<bool> expects_answers() {
        const std::lock_guard lock(mutex_);
        return expects_;
    }

  private:
    friend class FakeEventChannel;
    void wake() const {
        const std::uint64_t one = 1;
        (void)!::write(event_.get(), &one, sizeof one);
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    UniqueFd event_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    std::vector<tcmu::DeviceEvent> events_;
    std::map<std::uint32_t, tcmu::DeviceEvent::Kind> waiting_;
    std::vector<Answer> answers_;
    std::size_t taken_ = 0;
    std::size_t stray_ = 0;
    std::size_t mismatched_ = 0;
    std::optional<bool> expects_;
    bool dead_ = false;
};

class FakeEventChannel final : public tcmu::EventChannel {
  public:
    explicit FakeEventChannel(FakeKernelEvents& kernel) : kernel_(kernel) {}
    [[nodiscard]] int fd() const override { return kernel_.event_.get(); }
    Result<std::vector<tcmu::DeviceEvent>> receive() override {
        const std::lock_guard lock(kernel_.mutex_);
        std::uint64_t count = 0;
        (void)!::read(kernel_.event_.get(), &count, sizeof count);
        if (kernel_.dead_) {
            return failure(EBADF, "the channel is dead");
        }
        return std::exchange(kernel_.events_, {});
    }
    Status answer(tcmu::DeviceEvent::Kind kind, std::uint32_t device_id, int result) override {
        const std::lock_guard lock(kernel_.mutex_);
        const auto waiting = kernel_.waiting_.find(device_id);
        if (waiting == kernel_.waiting_.end()) {
            ++kernel_.stray_;
            return failure(ENODEV, "nothing waits");
        }
        const bool matches = waiting->second == kind;
        kernel_.mismatched_ += matches ? 0 : 1;
        kernel_.waiting_.erase(waiting);
        kernel_.answers_.push_back({kind, device_id, result});
        kernel_.changed_.notify_all();
        return matches ? Status{} : Status(failure(EINVAL, "another kind waits"));
    }
    Status expect_answers(bool wanted) override {
        const std::lock_guard lock(kernel_.mutex_);
        kernel_.expects_ = wanted;
        return {};
    }

  private:
    FakeKernelEvents& kernel_;
};

}  // namespace lunkit::test
