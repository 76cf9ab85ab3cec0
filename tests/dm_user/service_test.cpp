// SPDX-License-Identifier: Apache-2.0
// The service in a world of the test's own: models of targets, and storage in memory that outlives
// the devices that are made of it.
#include "dm_user/dm_user_service.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <semaphore>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/file_identity.hpp"
#include "core/queue_set.hpp"
#include "support/child_process.hpp"
#include "support/dm_user_model.hpp"
#include "support/memory_device.hpp"

namespace lunkit::dm_user {
namespace {

using abi::RequestType;
using core::DeviceState;
using test::DmUserModel;
using test::MemoryDevice;
using testing::HasSubstr;
using namespace std::chrono_literals;

/// Storage of the world, opened.
class OpenStorage final : public BlockDevice {
  public:
    OpenStorage(MemoryDevice& memory, std::counting_semaphore<>* gate)
        : memory_(memory), gate_(gate) {}
    [[nodiscard]] DeviceInfo info() const override { return memory_.info(); }
    Task<Status> read(Queue& queue, const IoRequest& io) override {
        return memory_.read(queue, io);
    }
    Task<Status> write(Queue& queue, const IoRequest& io) override {
        if (gate_ != nullptr) {
            (void)co_await queue.offload(this, [this]() -> std::int64_t {
                gate_->acquire();
                return 0;
            });
        }
        Status status = co_await memory_.write(queue, io);
        co_return status;
    }
    Task<Status> flush(Queue& queue) override { return memory_.flush(queue); }

  private:
    MemoryDevice& memory_;
    std::counting_semaphore<>* const gate_;
};

class BrokenChannel final : public Channel {
  public:
    Result<std::size_t> read(std::span<std::byte> /*room*/) override {
        return failure(EIO, "the node is broken");
    }
    Result<std::size_t> write(std::span<const std::byte> /*header*/,
                              std::span<const std::byte> /*payload*/) override {
        return failure(EIO, "the node is broken");
    }
};

/// Outlives the daemons.
class ModelKeeper final : public NodeKeeper {
  public:
    using Open = std::function<std::unique_ptr<Channel>(const std::string& name)>;
    explicit ModelKeeper(Open open) : open_(std::move(open)) {}
    Status hold(const std::string& name) override {
        if (is_there) {
            const std::lock_guard lock(mutex_);
            if (std::unique_ptr<Channel>& held = held_[name]; !held) {
                held = open_(name);
            }
        }
        return {};
    }
    void let_go(const std::string& name) override {
        const std::lock_guard lock(mutex_);
        held_.erase(name);
    }
    void let_go_of_others(const std::vector<std::string>& names) override {
        const std::lock_guard lock(mutex_);
        std::erase_if(held_, [&names](const auto& held) {
            return std::ranges::find(names, held.first) == names.end();
        });
    }
    std::atomic<bool> is_there{false};

  private:
    const Open open_;
    std::mutex mutex_;
    std::map<std::string, std::unique_ptr<Channel>> held_;
};

class DmUserServiceTest : public testing::Test {
  protected:
    void SetUp() override {
        settings_.run_dir = run_dir_.path();
        start();
    }
    void TearDown() override {
        if (service_) {
            stop();
        }
        service_.reset();
    }

    void start() {
        Surroundings world;
        world.find_kernel = [] { return Status(); };
        world.find_node = [this](const std::string& name) -> Result<core::FileIdentity> {
            const std::lock_guard lock(mutex_);
            if (!targets_.contains(name)) {
                return failure(ENOENT, "there is no node");
            }
            return core::FileIdentity{.device = 1, .inode = nodes_made_};
        };
        world.open_channel =
            [this](const std::string& name,
                   const core::FileIdentity& node) -> Result<std::unique_ptr<Channel>> {
            if (node.inode != nodes_made_) {
                return failure(ENOTBLK, "it is another one now");
            }
            if (node_is_closed_) {
                return failure(EACCES, "the node is closed");
            }
            if (node_breaks_) {
                return std::make_unique<BrokenChannel>();
            }
            return target(name).open();
        };
        world.open_block =
            [this](const host::OpenDevice& request) -> Result<std::unique_ptr<BlockDevice>> {
            if (storage_fails_) {
                return failure(EIO, "the storage is away");
            }
            nodes_made_ += made_anew_meanwhile_ ? 1 : 0;
            const std::lock_guard lock(mutex_);
            opened_.push_back(request);
            return std::make_unique<OpenStorage>(memory_, is_slow_ ? &gate_ : nullptr);
        };
        world.keeper = keeper_;
        service_ = std::make_unique<DmUserService>(runtime_, std::move(world));
        ASSERT_TRUE(service_->start());
    }
    /// The daemon stops; whether it was clean.
    bool stop() {
        std::promise<bool> clean;
        service_->stop([&clean](bool is_clean) { clean.set_value(is_clean); });
        return clean.get_future().get();
    }
    void restart() {
        ASSERT_TRUE(stop());
        service_.reset();
        start();
    }
    DmUserModel& make_target(const std::string& name) {
        const std::lock_guard lock(mutex_);
        return targets_[name];
    }
    DmUserModel& target(const std::string& name) {
        const std::lock_guard lock(mutex_);
        return targets_.at(name);
    }
    static core::NewDevice wanted(const std::string& name, const std::string& config) {
        core::NewDevice device;
        device.name = name;
        device.config = config;
        return device;
    }
    Result<std::string> attach(core::NewDevice device) {
        std::promise<Result<std::string>> answer;
        service_->add_device(std::move(device), [&answer](Result<std::string> node) {
            answer.set_value(std::move(node));
        });
        return answer.get_future().get();
    }
    Result<std::string> attach(const std::string& name, const std::string& config) {
        return attach(wanted(name, config));
    }
    Status detach(const std::string& name) {
        std::promise<Status> answer;
        service_->remove_device(name, false,
                                [&answer](Status status) { answer.set_value(std::move(status)); });
        return answer.get_future().get();
    }
    template <typename Condition>
    static bool becomes(Condition condition) {
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        while (!condition()) {
            if (std::chrono::steady_clock::now() >= deadline) {
                return false;
            }
            std::this_thread::sleep_for(1ms);
        }
        return true;
    }
    std::size_t records() { return TargetFolder::open(run_dir_.path())->read_all().size(); }
    static DmUserModel::Request write_request(std::byte value) {
        return {.type = RequestType::kWrite, .data = std::vector<std::byte>(4096, value)};
    }

    test::TemporaryFolder run_dir_;
    core::Settings settings_;
    host::HandlerRegistry handlers_;
    std::unique_ptr<core::QueueSet> queues_ =
        *core::QueueSet::start(core::EngineChoice::kThreads, 1, 0us);
    core::Runtime runtime_{*queues_, handlers_, settings_};
    MemoryDevice memory_{1U << 20U};
    std::counting_semaphore<> gate_{0};
    bool is_slow_ = false;
    std::atomic<bool> storage_fails_{false};
    std::atomic<bool> node_is_closed_{false};
    std::atomic<bool> node_breaks_{false};
    std::mutex mutex_;
    std::map<std::string, DmUserModel> targets_;
    std::atomic<ino_t> nodes_made_{1};
    std::atomic<bool> made_anew_meanwhile_{false};  // while storage is opened
    const std::shared_ptr<ModelKeeper> keeper_ = std::make_shared<ModelKeeper>(
        [this](const std::string& name) { return target(name).open(); });
    std::vector<host::OpenDevice> opened_;
    std::unique_ptr<DmUserService> service_;
};

TEST_F(DmUserServiceTest, ServesWhatIsAttached) {
    make_target("a/disk");
    EXPECT_EQ(*attach("a/disk", "ram/x"), "/dev/dm-user/a/disk");
    EXPECT_EQ(target("a/disk").run(write_request(std::byte{7})).error, 0);
    const auto list = service_->list();
    ASSERT_EQ(list.size(), 1U);
    EXPECT_EQ(list[0].front_end, "dm-user");
    EXPECT_EQ(list[0].name, "a/disk");
    EXPECT_EQ(list[0].node, "/dev/dm-user/a/disk");
    EXPECT_EQ(list[0].config, "ram/x");
    EXPECT_EQ(list[0].state, DeviceState::kRunning);
    EXPECT_EQ(list[0].size, 1U << 20U);
    EXPECT_EQ(list[0].write_commands, 1U);
    EXPECT_EQ(target("a/disk").opens(), 4U);
    EXPECT_EQ(records(), 1U);
    EXPECT_TRUE(detach("/dev/dm-user/a/disk"));
    EXPECT_EQ(target("a/disk").opens(), 0U);
    EXPECT_TRUE(service_->list().empty());
    EXPECT_EQ(records(), 0U);
}

TEST_F(DmUserServiceTest, AttachingTwiceIsFineWhenItIsTheSame) {
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    EXPECT_EQ(*attach("/dev/dm-user/disk", "ram/x"), "/dev/dm-user/disk");
    EXPECT_EQ(opened_.size(), 1U);
    const auto other = attach("disk", "ram/y");
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, EALREADY);
    EXPECT_THAT(other.error().what, HasSubstr("ram/x"));
    core::NewDevice elsewhere = wanted("disk", "ram/x");
    elsewhere.start_sectors512 = 8;
    EXPECT_EQ(attach(elsewhere).error().code, EALREADY);
}

TEST_F(DmUserServiceTest, WhatCannotBeAttachedLeavesNothing) {
    EXPECT_EQ(attach("missing", "ram/x").error().code, ENOENT);
    EXPECT_TRUE(opened_.empty());  // a handler might have made a file
    EXPECT_EQ(attach("../sda", "ram/x").error().code, EINVAL);
    make_target("disk");
    core::NewDevice odd = wanted("disk", "ram/x");
    odd.number = 3;
    EXPECT_EQ(attach(odd).error().code, EINVAL);
    odd = wanted("disk", "ram/x");
    odd.block_size = 4096;
    EXPECT_EQ(attach(odd).error().code, EINVAL);
    odd = wanted("disk", "ram/x");
    odd.channels = 65;
    EXPECT_EQ(attach(odd).error().code, EINVAL);
    storage_fails_ = true;
    EXPECT_EQ(attach("disk", "ram/x").error().what, "the storage is away");
    EXPECT_TRUE(service_->list().empty());
    EXPECT_EQ(records(), 0U);
    EXPECT_EQ(target("disk").opened_so_far(), 0U);
}

TEST_F(DmUserServiceTest, DetachingWhatIsNotAttachedIsToldApart) {
    EXPECT_EQ(detach("disk").error().code, ENOENT);
    EXPECT_EQ(detach("..").error().code, EINVAL);
}

TEST_F(DmUserServiceTest, OptionsReachStorageAndChannels) {
    make_target("disk");
    core::NewDevice device = wanted("disk", "ram/x");
    device.size = 512;
    device.read_only = true;
    device.channels = 2;
    device.start_sectors512 = 100;
    EXPECT_TRUE(attach(device));
    EXPECT_EQ(opened_.at(0).size, 512U);
    EXPECT_TRUE(opened_.at(0).read_only);
    EXPECT_FALSE(opened_.at(0).take_over);
    EXPECT_EQ(target("disk").opens(), 2U);
    EXPECT_EQ(target("disk").run({.type = RequestType::kRead, .sector = 99, .len = 512}).error,
              EIO);
    EXPECT_EQ(target("disk").run({.type = RequestType::kRead, .sector = 100, .len = 512}).error, 0);
}

TEST_F(DmUserServiceTest, TargetThatGoesIsForgotten) {
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    target("disk").remove();
    EXPECT_TRUE(becomes([this] { return service_->list().empty() && records() == 0; }));
    EXPECT_EQ(target("disk").opens(), 0U);
}

TEST_F(DmUserServiceTest, TargetMadeAnewIsAskedForOnceMore) {
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    nodes_made_ = 2;  // under the same name; that the one before has gone is not seen yet
    EXPECT_EQ(attach("disk", "ram/x").error().code, EAGAIN);
    EXPECT_EQ(attach("disk", "ram/y").error().code, EAGAIN);
    target("disk").remove();
    EXPECT_TRUE(becomes([this] { return service_->list().empty(); }));
    targets_.clear();
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    EXPECT_TRUE(attach("disk", "ram/x"));
    EXPECT_EQ(opened_.size(), 2U);
}

TEST_F(DmUserServiceTest, TargetMadeAnewWhileItsStorageIsOpenedIsNotServedAsTheOneBefore) {
    make_target("disk");
    made_anew_meanwhile_ = true;
    EXPECT_EQ(attach("disk", "ram/x").error().code, EAGAIN);
    EXPECT_TRUE(service_->list().empty());
    made_anew_meanwhile_ = false;
    EXPECT_TRUE(attach("disk", "ram/x"));
    EXPECT_TRUE(attach("disk", "ram/x"));
}

TEST_F(DmUserServiceTest, NextDaemonGoesOn) {
    make_target("disk").fails_without_server = false;
    EXPECT_TRUE(attach("disk", "ram/x"));
    EXPECT_EQ(target("disk").run(write_request(std::byte{7})).error, 0);
    ASSERT_TRUE(stop());
    EXPECT_TRUE(opened_.at(0).handing_over());
    EXPECT_EQ(target("disk").opens(), 0U);
    service_.reset();
    auto waits = target("disk").submit({.type = RequestType::kRead, .len = 4096});
    start();
    EXPECT_EQ(waits.get().data, std::vector<std::byte>(4096, std::byte{7}));
    EXPECT_TRUE(becomes([this] { return service_->list()[0].state == DeviceState::kRunning; }));
    EXPECT_TRUE(opened_.at(1).take_over);
    EXPECT_TRUE(detach("disk"));
    EXPECT_FALSE(opened_.at(1).handing_over());
}

TEST_F(DmUserServiceTest, RequestsWaitForTheNextDaemonWhereSomebodyKeepsTheNodeOpen) {
    keeper_->is_there = true;
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    ASSERT_TRUE(stop());
    service_.reset();
    EXPECT_EQ(target("disk").opens(), 1U);
    auto waits = target("disk").submit(write_request(std::byte{7}));
    EXPECT_EQ(target("disk").waiting(), 1U);
    start();
    EXPECT_EQ(waits.get().error, 0);
    EXPECT_EQ(memory_.bytes()[0], std::byte{7});
    EXPECT_TRUE(becomes([this] { return service_->list()[0].state == DeviceState::kRunning; }));
    EXPECT_TRUE(detach("disk"));
    EXPECT_EQ(target("disk").opens(), 0U);
    EXPECT_EQ(target("disk").run(write_request(std::byte{8})).error, EIO);
}

TEST_F(DmUserServiceTest, NoRequestFailsOverManyHandOversUnderLoad) {
    keeper_->is_there = true;
    DmUserModel& disk = make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    std::atomic<bool> enough{false};
    std::atomic<unsigned> errors{0};
    std::atomic<unsigned> done{0};
    std::vector<std::jthread> users;
    for (unsigned i = 0; i < 6; ++i) {
        users.emplace_back([&] {
            while (!enough) {
                errors += disk.run(write_request(std::byte{7})).error == 0 ? 0 : 1;
                ++done;
            }
        });
    }
    for (int i = 0; i < 10; ++i) {
        const unsigned before = done;
        EXPECT_TRUE(becomes([&] { return done > before + 20; }));
        restart();
    }
    enough = true;
    users.clear();
    EXPECT_EQ(errors, 0U);
}

TEST_F(DmUserServiceTest, RequestsWaitForStorageThatIsAwayUntilTheTargetIsDetached) {
    keeper_->is_there = true;
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    storage_fails_ = true;
    restart();
    EXPECT_TRUE(becomes([this] { return service_->list().at(0).state == DeviceState::kFailed; }));
    auto waits = target("disk").submit(write_request(std::byte{7}));
    EXPECT_EQ(target("disk").waiting(), 1U);
    EXPECT_TRUE(detach("disk"));
    EXPECT_EQ(waits.get().error, EIO);
}

TEST_F(DmUserServiceTest, NodeOfATargetThatWentIsKeptOpenNoLonger) {
    keeper_->is_there = true;
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    target("disk").remove();
    EXPECT_TRUE(becomes([this] { return target("disk").opens() == 0; }));
}

TEST_F(DmUserServiceTest, NodeIsNotKeptOpenForADaemonThatWillNotKnowOfIt) {
    keeper_->is_there = true;
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    ASSERT_TRUE(stop());
    service_.reset();
    TargetFolder::open(run_dir_.path())->remove("disk");
    start();
    EXPECT_EQ(target("disk").opens(), 0U);
}

TEST_F(DmUserServiceTest, TargetThatWentWhileNoDaemonRanIsForgotten) {
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    ASSERT_TRUE(stop());
    service_.reset();
    targets_.clear();
    start();
    EXPECT_TRUE(becomes([this] { return service_->list().empty() && records() == 0; }));
}

TEST_F(DmUserServiceTest, StorageThatIsAwayAfterARestartIsShownAndCanBeAttachedLater) {
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    storage_fails_ = true;
    restart();
    EXPECT_TRUE(becomes([this] { return service_->list().at(0).state == DeviceState::kFailed; }));
    EXPECT_EQ(service_->list()[0].error, "the storage is away");
    restart();  // is not forgotten over it
    EXPECT_TRUE(becomes([this] { return service_->list().at(0).state == DeviceState::kFailed; }));
    EXPECT_EQ(attach("disk", "ram/x").error().what, "the storage is away");
    EXPECT_EQ(service_->list().at(0).state, DeviceState::kFailed);
    EXPECT_EQ(records(), 1U);  // nor over another attempt
    storage_fails_ = false;
    EXPECT_TRUE(attach("disk", "ram/x"));
    EXPECT_EQ(service_->list().at(0).state, DeviceState::kRunning);
    EXPECT_EQ(service_->list().size(), 1U);
    EXPECT_TRUE(opened_.back().take_over);
}

TEST_F(DmUserServiceTest, StorageThatWasAwayIsOpenedAfreshInAnotherWay) {
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    storage_fails_ = true;
    restart();
    EXPECT_TRUE(becomes([this] { return service_->list().at(0).state == DeviceState::kFailed; }));
    storage_fails_ = false;
    EXPECT_TRUE(attach("disk", "ram/y"));
    EXPECT_FALSE(opened_.back().take_over);
}

// A typing error must not fail the requests that wait for the right one.
TEST_F(DmUserServiceTest, StorageThatWasAwayIsNotForgottenOverAnotherThatIsNotThere) {
    keeper_->is_there = true;
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    storage_fails_ = true;
    restart();
    EXPECT_TRUE(becomes([this] { return service_->list().at(0).state == DeviceState::kFailed; }));
    EXPECT_EQ(attach("disk", "ram/typo").error().what, "the storage is away");
    EXPECT_EQ(service_->list().at(0).config, "ram/x");
    EXPECT_EQ(service_->list().at(0).state, DeviceState::kFailed);
    EXPECT_EQ(records(), 1U);
    EXPECT_EQ(target("disk").opens(), 1U);  // the keeper's: requests wait
    storage_fails_ = false;
    node_is_closed_ = true;  // fails behind the new record
    EXPECT_FALSE(attach("disk", "ram/typo"));
    node_is_closed_ = false;
    restart();
    EXPECT_TRUE(becomes([this] { return service_->list().at(0).state == DeviceState::kRunning; }));
    EXPECT_EQ(service_->list().at(0).config, "ram/x");
    EXPECT_TRUE(opened_.back().take_over);
}

TEST_F(DmUserServiceTest, StorageOfATargetWhoseChannelsBreakIsKeptForItsNextAttach) {
    make_target("disk");
    node_breaks_ = true;
    EXPECT_TRUE(attach("disk", "ram/x"));
    EXPECT_TRUE(becomes([this] { return service_->list().at(0).state == DeviceState::kFailed; }));
    EXPECT_EQ(service_->list().at(0).error, "the node is broken");
    EXPECT_TRUE(opened_.back().handing_over());
    EXPECT_EQ(records(), 1U);
    node_breaks_ = false;
    EXPECT_TRUE(attach("disk", "ram/x"));
    EXPECT_TRUE(opened_.back().take_over);
    EXPECT_FALSE(opened_.back().handing_over());
    EXPECT_EQ(target("disk").run(write_request(std::byte{7})).error, 0);
}

TEST_F(DmUserServiceTest, StorageOfATargetWhoseNodeIsClosedIsKeptForItsNextAttach) {
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    node_is_closed_ = true;
    restart();
    EXPECT_TRUE(becomes([this] { return service_->list().at(0).state == DeviceState::kFailed; }));
    EXPECT_TRUE(opened_.back().handing_over());
    node_is_closed_ = false;
    EXPECT_TRUE(attach("disk", "ram/x"));
    EXPECT_TRUE(opened_.back().take_over);
    EXPECT_FALSE(opened_.back().handing_over());
}

TEST_F(DmUserServiceTest, RecordStaysInPlaceWhenTheNextDaemonGoesOn) {
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    const UniqueFd record(::open((run_dir_ / "dm_user/disk.target").c_str(), O_RDONLY | O_CLOEXEC));
    restart();
    EXPECT_TRUE(becomes([this] { return service_->list().at(0).state == DeviceState::kRunning; }));
    struct stat status{};
    ASSERT_EQ(::fstat(record.get(), &status), 0);
    EXPECT_EQ(status.st_nlink, 1U);
}

TEST_F(DmUserServiceTest, NoStepOfItRunsOnceItIsGone) {
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    std::promise<void> stopped;
    const auto has_left = std::make_shared<std::atomic<bool>>(false);
    service_->stop([&stopped, has_left](bool) {
        stopped.set_value();
        std::this_thread::sleep_for(50ms);  // this is one of its steps still
        has_left->store(true);
    });
    stopped.get_future().wait();
    service_.reset();
    EXPECT_TRUE(has_left->load());
}

TEST_F(DmUserServiceTest, StopAnswersWhatWasReadFirst) {
    is_slow_ = true;
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    auto slow = target("disk").submit(write_request(std::byte{9}));
    EXPECT_TRUE(becomes([this] { return service_->list()[0].in_flight == 1; }));
    auto stopped = std::async(std::launch::async, [this] { return stop(); });
    EXPECT_TRUE(becomes([this] { return target("disk").opens() == 1; }));
    gate_.release();
    EXPECT_EQ(slow.get().error, 0);
    EXPECT_TRUE(stopped.get());
    EXPECT_EQ(memory_.bytes()[0], std::byte{9});
}

TEST_F(DmUserServiceTest, StorageThatHangsDoesNotHoldAStopForEver) {
    is_slow_ = true;
    settings_.drain_timeout = 20ms;
    make_target("disk");
    EXPECT_TRUE(attach("disk", "ram/x"));
    auto slow = target("disk").submit(write_request(std::byte{9}));
    EXPECT_TRUE(becomes([this] { return service_->list()[0].in_flight == 1; }));
    const Status late = detach("disk");
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, ETIMEDOUT);
    EXPECT_FALSE(stop());
    gate_.release();
    EXPECT_EQ(slow.get().error, 0);
    EXPECT_TRUE(becomes([this] { return service_->list().empty(); }));
    EXPECT_EQ(records(), 0U);  // it was to be detached
}

TEST_F(DmUserServiceTest, NothingIsAttachedOnceItStops) {
    make_target("disk");
    ASSERT_TRUE(stop());
    EXPECT_EQ(attach("disk", "ram/x").error().code, ECANCELED);
}

TEST(DmUserService, KernelWithoutDmUserIsTold) {
    const test::TemporaryFolder run;
    core::Settings settings;
    settings.run_dir = run.path();
    auto queues = *core::QueueSet::start(core::EngineChoice::kThreads, 1, 0us);
    host::HandlerRegistry none;
    core::Runtime runtime{*queues, none, settings};
    test::DmUserModel target;
    const auto keeper =
        std::make_shared<ModelKeeper>([&target](const std::string&) { return target.open(); });
    keeper->is_there = true;
    ASSERT_TRUE(keeper->hold("disk"));
    DmUserService service(runtime, {.find_kernel = [] { return failure(ENODEV, "none here"); },
                                    .find_node = {},
                                    .open_channel = {},
                                    .open_block = {},
                                    .keeper = keeper});
    EXPECT_EQ(service.start().error().code, ENODEV);
    EXPECT_EQ(target.opens(), 0U);  // nobody will serve it
}

}  // namespace
}  // namespace lunkit::dm_user
