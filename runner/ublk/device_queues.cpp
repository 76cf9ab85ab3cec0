// SPDX-License-Identifier: Apache-2.0
#include "ublk/device_queues.hpp"

#include <fmt/format.h>

#include <utility>

#include "core/queue_set.hpp"
#include "ublk/untrusted_thread.hpp"

namespace lunkit::ublk {

namespace {

class UringQueues final : public DeviceQueues {
  public:
    explicit UringQueues(std::unique_ptr<core::QueueSet> set) : set_(std::move(set)) {}
    core::EngineQueue& assign() override { return set_->assign(); }
    void release(core::EngineQueue& queue) override { set_->release(queue); }

  private:
    std::unique_ptr<core::QueueSet> set_;
};

}  // namespace

Result<std::unique_ptr<DeviceQueues>> start_device_queues(const core::Settings& settings) {
    auto set = core::QueueSet::start(core::EngineChoice::kUring, settings.queues, settings.spin,
                                     {.name = "lunkit-ublk", .prepare = give_up_administration});
    if (!set) {
        return failure(set.error().code, fmt::format("ublk needs io_uring: {}", set.error().what));
    }
    return std::make_unique<UringQueues>(*std::move(set));
}

}  // namespace lunkit::ublk
