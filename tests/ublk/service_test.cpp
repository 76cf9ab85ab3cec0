// SPDX-License-Identifier: Apache-2.0
// What the service asks of the kernel when a device cannot be made, and that nothing is left of it.
// A device that is served takes the real driver: tests/vm.
#include "ublk/ublk_service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/make_queue.hpp"
#include "support/memory_device.hpp"
#include "support/ublk_driver.hpp"

namespace lunkit::ublk {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

class UblkServiceTest : public testing::Test {
  protected:
    void SetUp() override {
        queues_ = *core::QueueSet::start(core::EngineChoice::kThreads, 1, 0us);
        runtime_ = std::make_unique<core::Runtime>(core::Runtime{*queues_, handlers_, settings_});
        Surroundings world;
        world.find_kernel = [] { return Status(); };
        world.open_control = [this]() -> Result<ControlDevice> { return control(); };
        world.open_chars = [this](std::uint32_t) -> Result<CharDevice> { return driver_.open(); };
        world.open_block =
            [](const host::OpenDevice& request) -> Result<std::unique_ptr<BlockDevice>> {
            if (request.config == "ram/missing") {
                return failure(ENOENT, "it is missing");
            }
            return std::make_unique<test::MemoryDevice>(1U << 20U);
        };
        world.check_unused = [](const std::string&) { return Status(); };
        world.limit_silence = [](std::uint32_t) { return Status(); };
        service_ = std::make_unique<UblkService>(*runtime_, std::move(world));
    }
    void TearDown() override {
        std::promise<bool> clean;
        service_->stop([&clean](bool is_clean) { clean.set_value(is_clean); });
        EXPECT_TRUE(clean.get_future().get());
        service_.reset();
        queues_.reset();
    }
    ControlDevice control() {
        return ControlDevice([this](std::uint32_t op, std::span<const std::byte> payload) {
            abi::ControlCommand command{};
            std::memcpy(&command, payload.data(), sizeof command);
            const std::lock_guard lock(mutex_);
            sent_.push_back(op);
            const auto planned = answers_.find(op);
            if (planned == answers_.end() && op == abi::kAddDev) {
                abi::DeviceInfo info{};
                std::memcpy(&info, reinterpret_cast<const void*>(command.addr), sizeof info);
                info.dev_id = 4;
                info.queue_depth = 2;
                std::memcpy(reinterpret_cast<void*>(command.addr), &info, sizeof info);
            }
            return Result<int>(planned == answers_.end() ? 0 : planned->second);
        });
    }
    Result<std::string> add(const std::string& config) {
        std::promise<Result<std::string>> answer;
        service_->add_device({.config = config, .number = {}}, [&answer](Result<std::string> node) {
            answer.set_value(std::move(node));
        });
        return answer.get_future().get();
    }
    Status remove(const std::string& name) {
        std::promise<Status> answer;
        service_->remove_device(name, false,
                                [&answer](Status status) { answer.set_value(std::move(status)); });
        return answer.get_future().get();
    }

    core::Settings settings_;
    host::HandlerRegistry handlers_;
    std::unique_ptr<core::QueueSet> queues_;
    std::unique_ptr<core::Runtime> runtime_;
    test::UblkDriver driver_;
    std::mutex mutex_;
    std::map<std::uint32_t, int> answers_;  // by command; others: done
    std::vector<std::uint32_t> sent_;
    std::unique_ptr<UblkService> service_;
};

TEST_F(UblkServiceTest, StorageThatDoesNotOpenMakesNoDevice) {
    const auto node = add("ram/missing");
    ASSERT_FALSE(node);
    EXPECT_EQ(node.error().what, "it is missing");
    EXPECT_TRUE(sent_.empty());
    EXPECT_TRUE(service_->list().empty());
}

TEST_F(UblkServiceTest, DeviceTheKernelRefusesIsNotLeftBehind) {
    answers_[abi::kSetParams] = -EINVAL;
    ASSERT_FALSE(add("ram/a"));
    EXPECT_THAT(sent_, ElementsAre(abi::kAddDev, abi::kSetParams, abi::kDelDev));
    EXPECT_TRUE(service_->list().empty());
}

// A memory file takes no I/O commands, so every tag is refused; without the look at them START_DEV
// would wait for ever.
TEST_F(UblkServiceTest, TagsThatAreRefusedEndTheDeviceBeforeItStarts) {
    const auto node = add("ram/a");
    ASSERT_FALSE(node);
    if (node.error().code == EOPNOTSUPP || node.error().code == EPERM) {
        GTEST_SKIP() << node.error().what;
    }
    EXPECT_THAT(node.error().what, HasSubstr("requests"));
    EXPECT_THAT(sent_, ElementsAre(abi::kAddDev, abi::kSetParams, abi::kStopDev, abi::kDelDev));
    EXPECT_TRUE(service_->list().empty());
}

TEST_F(UblkServiceTest, NeedsIoUring) {
    settings_.engine = core::EngineChoice::kThreads;
    const auto node = add("ram/a");
    ASSERT_FALSE(node);
    EXPECT_THAT(node.error().what, HasSubstr("engine=threads"));
    EXPECT_TRUE(sent_.empty());
}

TEST_F(UblkServiceTest, UnknownDeviceIsNotFound) {
    for (const char* name : {"7", "ublkb7", "/dev/ublkb7", "sda", "", "4294967296"}) {
        const Status status = remove(name);
        ASSERT_FALSE(status);
        EXPECT_EQ(status.error().code, ENOENT) << name;
    }
}

TEST_F(UblkServiceTest, NothingIsMadeOnceItStops) {
    service_->stop([](bool) {});
    const auto node = add("ram/a");
    ASSERT_FALSE(node);
    EXPECT_EQ(node.error().code, ECANCELED);
}

}  // namespace
}  // namespace lunkit::ublk
