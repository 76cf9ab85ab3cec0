// SPDX-License-Identifier: Apache-2.0
// The life of logs, as the kernel was seen to ask for it: load, resume, reload, loss of the daemon.
#include "dm_log/log_server.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <memory>

#include "dm_log/disk_format.hpp"
#include "requests.hpp"
#include "support/child_process.hpp"
#include "support/engine_rig.hpp"
#include "support/fake_engine_queue.hpp"

namespace lunkit::dm_log {
namespace {

using abi::RequestType;
using test::numbers_of;
using test::request;
using test::with_numbers;
using test::with_text;
using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

constexpr std::size_t kMarksOffset = 552;  // in a file of the state folder

/// Its disks may fail.
class FailingQueue final : public test::FakeEngineQueue {
  public:
    bool fails = false;
    std::size_t syncs = 0;
    int submit_data_sync(int fd, const void* lane, lunkit_completion* completion) override {
        ++syncs;
        return fails ? -EIO : FakeEngineQueue::submit_data_sync(fd, lane, completion);
    }
};

Detached close(LogServer& server, bool& closed) {
    co_await server.close();
    closed = true;
}

class LogServerTest : public testing::Test {
  protected:
    void SetUp() override { start_server(); }
    void TearDown() override {
        bool closed = false;
        close(*server_, closed);
        for (int second = 0; second < 20 && !closed; ++second) {
            queue_.settle();
            queue_.inner.advance(1s);
        }
        EXPECT_TRUE(closed);
    }

    /// As a daemon starts; what was there before died without a word.
    void start_server() {
        auto folder = *StateFolder::open(run_dir_.path(), "boot");
        auto found = *folder.find_all();
        server_ = std::make_unique<LogServer>(
            queue_, std::move(folder), [this](const Request& asked, const Answer& answer) {
                EXPECT_EQ(asked.head.seq, answers_.size());  // once, in this order
                answers_.push_back(answer);
            });
        server_->restore(std::move(found));
        queue_.settle();
    }
    Answer ask(Request made) {
        made.head.seq = static_cast<std::uint32_t>(answers_.size());
        server_->handle(made);
        queue_.settle();
        if (made.head.seq + 1 != answers_.size()) {
            ADD_FAILURE() << "no answer, or more than one";
            return Answer::failed(ETIME);
        }
        return answers_.back();
    }
    Answer ask(RequestType type, const std::vector<std::uint64_t>& numbers = {},
               std::uint64_t luid = 1) {
        return ask(with_numbers(request(type, luid), numbers));
    }
    Answer construct(std::string_view text, std::uint64_t luid = 1,
                     std::string_view uuid = "mirror-a") {
        return ask(with_text(request(RequestType::kCtr, luid, uuid), text));
    }
    Answer construct_again(const std::string& text, std::uint64_t luid = 1) {
        return construct(text + std::string(1, '\0'), luid);
    }
    void make_log(std::string_view text, std::uint64_t luid = 1) {
        EXPECT_EQ(construct(text, luid).error(), 0);
        EXPECT_EQ(ask(RequestType::kResume, {}, luid).error(), 0);
    }
    std::uint64_t sync_count(std::uint64_t luid = 1) {
        return numbers_of(ask(RequestType::kGetSyncCount, {}, luid)).at(0);
    }
    void suspend(std::uint64_t luid = 1) {
        EXPECT_EQ(ask(RequestType::kPresuspend, {}, luid).error(), 0);
        EXPECT_EQ(ask(RequestType::kPostsuspend, {}, luid).error(), 0);
    }
    /// A file for a disk log, named by what `text` has in place of "@".
    std::string disk(std::string text) {
        if (!std::filesystem::exists(path())) {
            test::write_file(path(), std::string(4096, '\0'));
        }
        return text.replace(text.find('@'), 1, path());
    }
    [[nodiscard]] std::string path() const { return disk_ / "log"; }
    /// As files of earlier daemons are, which had no such mark.
    void forget_stored(int luid) const {
        const std::string state = run_dir_ / fmt::format("dm_log/{:016x}.log", luid);
        std::string bytes = test::read_file(state);
        bytes.at(kMarksOffset) &= static_cast<char>(~StateFolder::kStored);
        test::write_file(state, bytes);
    }
    disk::Contents on_disk() {
        const std::string bytes = test::read_file(path());
        return *disk::decode(std::as_bytes(std::span(bytes)));
    }

    test::TemporaryFolder run_dir_;
    test::BuildFolder disk_;
    FailingQueue queue_;
    std::vector<Answer> answers_;
    std::unique_ptr<LogServer> server_;
};

TEST_F(LogServerTest, CreationAndResync) {
    const Answer made = construct("2048 core 1024 sync");
    EXPECT_EQ(made.error(), 0);
    EXPECT_THAT(made.data(), IsEmpty());
    EXPECT_THAT(numbers_of(ask(RequestType::kGetRegionSize)), ElementsAre(1024));
    EXPECT_EQ(sync_count(), 0U);
    EXPECT_EQ(ask(RequestType::kResume).error(), 0);
    for (std::uint64_t region = 0; region < 2; ++region) {
        EXPECT_THAT(numbers_of(ask(RequestType::kGetResyncWork)), ElementsAre(1, region));
        EXPECT_EQ(ask(RequestType::kSetRegionSync, {region, 1}).error(), 0);
        EXPECT_EQ(ask(RequestType::kClearRegion, {region}).error(), 0);
        EXPECT_EQ(ask(RequestType::kFlush).error(), 0);
    }
    EXPECT_THAT(numbers_of(ask(RequestType::kGetResyncWork)), ElementsAre(0, 0));
    EXPECT_EQ(sync_count(), 2U);
    EXPECT_EQ(test::text_of(ask(RequestType::kStatusInfo)), std::string("1 core\0", 7));
    EXPECT_EQ(test::text_of(ask(RequestType::kStatusTable)), std::string("core 1024 sync\0", 15));
    EXPECT_EQ(ask(RequestType::kDtr).error(), 0);
    EXPECT_EQ(ask(RequestType::kInSync, {0}).error(), -ESRCH);
}

TEST_F(LogServerTest, TellsWhatItKnowsOfEachRegion) {
    make_log("204800 core 1024 sync");  // 200 regions
    EXPECT_EQ(*server_->regions("mirror-a"),
              (std::vector<core::RegionRun>{{0, 200, false, false}}));
    for (std::uint64_t region = 0; region < 150; ++region) {
        (void)ask(RequestType::kGetResyncWork);
        (void)ask(RequestType::kSetRegionSync, {region, 1});
        (void)ask(RequestType::kClearRegion, {region});
    }
    (void)ask(RequestType::kMarkRegion, {70, 71});
    EXPECT_EQ(*server_->regions("mirror-a"),
              (std::vector<core::RegionRun>{{0, 70, true, true},
                                            {70, 2, false, true},
                                            {72, 78, true, true},
                                            {150, 50, false, false}}));
    EXPECT_EQ(server_->regions("mirror-b").error().code, ENOENT);
}

// A table that is loaded and not in use yet.
TEST_F(LogServerTest, LogThatHasNotBegunIsNotListedBesideTheOneInUse) {
    make_log("2048 core 1024", 2);
    EXPECT_EQ(construct("2048 core 1024 nosync", 1).error(), 0);
    ASSERT_EQ(server_->list().size(), 1U);
    EXPECT_EQ(server_->list()[0].config, "core 1024");
}

TEST_F(LogServerTest, RegionsThatChangeTooOftenAreNotTold) {
    make_log("1048576 core 8 nosync");  // 131072 regions
    for (std::uint64_t region = 0; region < 65'536; ++region) {
        (void)ask(RequestType::kMarkRegion, {2 * region});
    }
    EXPECT_EQ(server_->regions("mirror-a").error().code, E2BIG);
}

TEST_F(LogServerTest, WhatIsWrongWithATableIsRefusedAtItsLoad) {
    for (const char* text : {"2048 core 1000", "2048 tape 1024", "2048 core 1024 maybe", ""}) {
        EXPECT_EQ(construct(text).error(), -EINVAL) << text;
    }
    EXPECT_EQ(construct("2048 disk /nonexistent/log 1024").error(), -ENOENT);
    Request newer = with_text(request(RequestType::kCtr), "2048 core 1024");
    newer.head.version = 4;
    EXPECT_EQ(ask(newer).error(), -EPROTO);
    EXPECT_TRUE(server_->list().empty());
}

TEST_F(LogServerTest, UuidAndLuidBothNameALog) {
    make_log("2048 core 1024");
    EXPECT_EQ(ask(with_numbers(request(RequestType::kInSync, 1, "mirror-b"), {0})).error(), -ESRCH);
    EXPECT_EQ(ask(RequestType::kInSync, {0}, 2).error(), -ESRCH);
    EXPECT_EQ(ask(RequestType::kInSync, {0}).error(), 0);
}

TEST_F(LogServerTest, RequestsWithWrongDataLoseNothing) {
    make_log("2048 core 1024 nosync");
    EXPECT_EQ(ask(RequestType::kMarkRegion, {9}).error(), -EINVAL);
    EXPECT_EQ(ask(RequestType::kDtr, {1}).error(), -EINVAL);
    EXPECT_EQ(ask(RequestType::kResume, {1}).error(), -EINVAL);
    EXPECT_EQ(ask(static_cast<RequestType>(42)).error(), -EINVAL);
    EXPECT_EQ(sync_count(), 2U);
}

// The kernel, which found no daemon for a moment, constructs and resumes again.
TEST_F(LogServerTest, ConstructionOfAKnownLogChangesNothing) {
    make_log("2048 core 1024 nosync");
    EXPECT_EQ(ask(RequestType::kMarkRegion, {1}).error(), 0);
    const Answer again = construct_again("2048 core 1024 nosync");
    EXPECT_EQ(again.error(), 0);
    EXPECT_THAT(again.data(), IsEmpty());
    EXPECT_EQ(ask(RequestType::kResume).error(), 0);
    EXPECT_THAT(numbers_of(ask(RequestType::kIsClean, {1})), ElementsAre(0));
    EXPECT_THAT(numbers_of(ask(RequestType::kInSync, {1})), ElementsAre(1));
}

// nosync was true when the mirror was made; since then anything may have been written.
TEST_F(LogServerTest, LogWhoseBitsAreLostIsOutOfSync) {
    EXPECT_EQ(construct_again("2048 core 1024 nosync").error(), 0);
    EXPECT_EQ(ask(RequestType::kResume).error(), 0);
    EXPECT_EQ(sync_count(), 0U);
}

// The kernel asks for no resync of a mirror that was in sync once: what is written from now on is
// on one leg, and the kernel would take the other for as good.
TEST_F(LogServerTest, LogWhoseBitsAreLostSaysSoUntilAnotherTableTakesOver) {
    make_log("2048 core 1024 nosync");
    std::filesystem::remove_all(run_dir_ / "dm_log");
    start_server();
    EXPECT_EQ(construct_again("2048 core 1024 nosync").error(), 0);
    EXPECT_EQ(ask(RequestType::kResume).error(), 0);
    EXPECT_EQ(server_->list().at(0).state, core::DeviceState::kFailed);
    EXPECT_THAT(server_->list().at(0).error, testing::HasSubstr("load its table again"));
    start_server();  // that was written down
    EXPECT_THAT(server_->list().at(0).error, testing::HasSubstr("load its table again"));
    EXPECT_EQ(construct("2048 core 1024 nosync", 2).error(), 0);
    suspend();
    EXPECT_EQ(ask(RequestType::kResume, {}, 2).error(), 0);
    EXPECT_EQ(ask(RequestType::kDtr).error(), 0);
    EXPECT_EQ(sync_count(2), 0U);
    EXPECT_EQ(server_->list().at(0).state, core::DeviceState::kRunning);
    EXPECT_EQ(server_->list().at(0).error, "");
}

TEST_F(LogServerTest, LogThatIsAllInSyncAgainSaysNothingOfItsLoss) {
    const std::string table = disk("2048 disk @ 1024");
    make_log(table + " nosync");
    EXPECT_EQ(ask(RequestType::kFlush, {1}).error(), 0);
    std::filesystem::remove_all(run_dir_ / "dm_log");
    start_server();
    EXPECT_EQ(construct_again(table + " nosync").error(), 0);
    EXPECT_EQ(ask(RequestType::kResume).error(), 0);
    EXPECT_EQ(server_->list().at(0).state, core::DeviceState::kFailed);
    EXPECT_EQ(ask(RequestType::kSetRegionSync, {1, 1}).error(), 0);
    EXPECT_EQ(server_->list().at(0).state, core::DeviceState::kRunning);
    EXPECT_EQ(ask(RequestType::kSetRegionSync, {1, 0}).error(), 0);  // a leg has failed since
    EXPECT_EQ(server_->list().at(0).state, core::DeviceState::kRunning);
}

// A RESUME came while no daemon was there, and was not made again.
TEST_F(LogServerTest, LogThatIsUsedWithoutAResumeOutlivesTheDaemon) {
    EXPECT_EQ(construct("2048 core 1024").error(), 0);
    EXPECT_EQ(ask(RequestType::kSetRegionSync, {1, 1}).error(), 0);
    start_server();
    EXPECT_EQ(sync_count(), 1U);
}

// Addresses are used again: a DTR was missed.
TEST_F(LogServerTest, NewLogAtAnOldAddressKnowsNothing) {
    make_log("2048 core 1024 nosync");
    make_log("2048 core 1024");
    EXPECT_EQ(sync_count(), 0U);
    EXPECT_EQ(construct("2048 core 1024", 1, "mirror-b").error(), 0);
    EXPECT_EQ(server_->list().size(), 1U);
    start_server();
    EXPECT_TRUE(server_->list().empty());
}

TEST_F(LogServerTest, SuspendAndResume) {
    make_log("2048 core 1024 nosync");
    EXPECT_EQ(ask(RequestType::kMarkRegion, {1}).error(), 0);
    suspend();
    EXPECT_EQ(ask(RequestType::kResume).error(), 0);
    EXPECT_EQ(sync_count(), 1U);
}

TEST_F(LogServerTest, ReloadGoesOnWithWhatIsKnown) {
    make_log("2048 core 1024 nosync");
    EXPECT_EQ(ask(RequestType::kMarkRegion, {1}).error(), 0);
    EXPECT_EQ(construct("4096 core 1024", 2).error(), 0);
    EXPECT_EQ(sync_count(2), 0U);
    suspend();
    EXPECT_EQ(ask(RequestType::kResume, {}, 2).error(), 0);
    EXPECT_EQ(ask(RequestType::kDtr).error(), 0);
    EXPECT_EQ(sync_count(2), 1U);
    EXPECT_THAT(numbers_of(ask(RequestType::kInSync, {0}, 2)), ElementsAre(1));
    EXPECT_EQ(server_->list().size(), 1U);
}

TEST_F(LogServerTest, ReloadThatIsGivenUpLeavesTheLogAlone) {
    make_log("2048 core 1024 nosync");
    EXPECT_EQ(construct("4096 core 1024", 2).error(), 0);
    EXPECT_EQ(ask(RequestType::kDtr, {}, 2).error(), 0);
    EXPECT_EQ(sync_count(), 2U);
}

TEST_F(LogServerTest, ReloadThatSaysSyncOrHasOtherRegionsStartsAnew) {
    make_log("2048 core 1024 nosync");
    EXPECT_EQ(construct("2048 core 1024 sync", 2).error(), 0);
    EXPECT_EQ(construct("2048 core 512", 3).error(), 0);
    suspend();
    EXPECT_EQ(ask(RequestType::kResume, {}, 2).error(), 0);
    EXPECT_EQ(sync_count(2), 0U);
    EXPECT_EQ(ask(RequestType::kResume, {}, 3).error(), 0);
    EXPECT_EQ(sync_count(3), 0U);
}

// On the disk its bits say something about other sectors.
TEST_F(LogServerTest, ReloadWithOtherRegionsBelievesNoDisk) {
    make_log(disk("4096 disk @ 1024 nosync"));
    EXPECT_EQ(ask(RequestType::kSetRegionSync, {1, 0}).error(), 0);
    EXPECT_EQ(ask(RequestType::kFlush).error(), 0);
    EXPECT_EQ(construct(disk("4096 disk @ 2048"), 2).error(), 0);
    suspend();
    EXPECT_EQ(ask(RequestType::kResume, {}, 2).error(), 0);
    EXPECT_EQ(sync_count(2), 0U);
}

// Two mirrors by one uuid are a mistake; one must not pass for in sync because the other is.
TEST_F(LogServerTest, RunningLogIsNobodysPredecessor) {
    make_log("2048 core 1024 nosync");
    make_log("2048 core 1024", 2);
    EXPECT_EQ(sync_count(2), 0U);
    EXPECT_EQ(sync_count(1), 2U);
    make_log("2048 core 1024 nosync", 3);
    EXPECT_EQ(sync_count(1), 2U);
}

TEST_F(LogServerTest, SuccessorOfADeadDaemonGoesOn) {
    make_log("2048 core 1024 nosync");
    EXPECT_EQ(ask(RequestType::kMarkRegion, {1}).error(), 0);
    start_server();
    EXPECT_THAT(numbers_of(ask(RequestType::kIsClean, {1})), ElementsAre(0));
    EXPECT_THAT(numbers_of(ask(RequestType::kIsClean, {0})), ElementsAre(1));
    EXPECT_EQ(sync_count(), 2U);
    EXPECT_EQ(ask(RequestType::kClearRegion, {1}).error(), 0);
    EXPECT_EQ(ask(RequestType::kDtr).error(), 0);
    start_server();
    EXPECT_TRUE(server_->list().empty());
}

// Its device may have gone meanwhile, and its legs have been written.
TEST_F(LogServerTest, LogOfADeadDaemonIsNobodysPredecessor) {
    make_log("2048 core 1024 nosync");
    suspend();
    start_server();
    make_log("2048 core 1024", 2);
    EXPECT_EQ(sync_count(2), 0U);
}

// The predecessor's log is out of date only as far as more is known of it now: nosync would forget
// what it says is not in sync.
TEST_F(LogServerTest, NosyncForgetsNothingThatADeadDaemonKnew) {
    make_log("2048 core 1024 nosync");
    EXPECT_EQ(ask(RequestType::kSetRegionSync, {1, 0}).error(), 0);
    suspend();
    start_server();
    make_log("2048 core 1024 nosync", 2);
    EXPECT_EQ(sync_count(2), 1U);
    EXPECT_EQ(ask(RequestType::kSetRegionSync, {0, 0}, 2).error(), 0);
    EXPECT_EQ(construct("2048 core 1024 nosync", 3).error(), 0);
    suspend(2);  // the first, whose end nobody heard of, is still known
    EXPECT_EQ(ask(RequestType::kResume, {}, 3).error(), 0);
    EXPECT_EQ(sync_count(3), 0U);
}

// Its last region was a part of one.
TEST_F(LogServerTest, GrownLastRegionIsOutOfSync) {
    make_log("2000 core 1024 nosync");
    EXPECT_EQ(construct("2048 core 1024", 2).error(), 0);
    suspend();
    EXPECT_EQ(ask(RequestType::kResume, {}, 2).error(), 0);
    EXPECT_EQ(sync_count(2), 1U);
}

TEST_F(LogServerTest, DiskLogIsMarkedWhenFlushIsAnswered) {
    make_log(disk("2048 disk @ 1024 nosync"));
    EXPECT_THAT(on_disk().clean, ElementsAre(3));
    EXPECT_EQ(ask(RequestType::kMarkRegion, {0}).error(), 0);
    EXPECT_EQ(ask(RequestType::kFlush).error(), 0);
    EXPECT_THAT(on_disk().clean, ElementsAre(2));
    EXPECT_EQ(ask(RequestType::kFlush, {1}).error(), 0);  // integrated_flush
    EXPECT_THAT(on_disk().clean, ElementsAre(0));
    EXPECT_EQ(ask(RequestType::kClearRegion, {0, 1}).error(), 0);
    suspend();
    EXPECT_THAT(on_disk().clean, ElementsAre(3));
}

TEST_F(LogServerTest, DiskLogIsTakenOver) {
    make_log(disk("3072 disk @ 1024 nosync"));
    EXPECT_EQ(ask(RequestType::kFlush, {1}).error(), 0);
    EXPECT_EQ(ask(RequestType::kDtr).error(), 0);
    make_log(disk("4096 disk @ 1024"), 2);
    EXPECT_EQ(sync_count(2), 2U);
    EXPECT_THAT(numbers_of(ask(RequestType::kGetResyncWork, {}, 2)), ElementsAre(1, 1));
    EXPECT_EQ(on_disk().regions, 4U);
    EXPECT_EQ(ask(RequestType::kDtr, {}, 2).error(), 0);
    make_log(disk("4096 disk @ 1024 sync"), 3);
    EXPECT_EQ(sync_count(3), 0U);
}

TEST_F(LogServerTest, DiskLogOutlivesTheStateOfTheDaemonToo) {
    make_log(disk("2048 disk @ 1024 nosync"));
    EXPECT_EQ(ask(RequestType::kFlush, {0}).error(), 0);
    std::filesystem::remove_all(run_dir_ / "dm_log");
    start_server();
    EXPECT_EQ(ask(RequestType::kInSync, {0}).error(), -ESRCH);
    const Answer again = construct_again(disk("2048 disk @ 1024 nosync"));
    EXPECT_EQ(again.error(), 0);
    EXPECT_THAT(again.data(), IsEmpty());
    EXPECT_EQ(ask(RequestType::kResume).error(), 0);
    EXPECT_EQ(sync_count(), 1U);
    EXPECT_THAT(numbers_of(ask(RequestType::kInSync, {0})), ElementsAre(0));
}

// The kernel waits for the FLUSH, and makes the MARK before it no second time.
TEST_F(LogServerTest, MarkThatADeadDaemonAnsweredIsOnDisk) {
    const std::string table = disk("2048 disk @ 1024");
    make_log(table + " nosync");
    EXPECT_EQ(ask(RequestType::kMarkRegion, {0}).error(), 0);
    std::filesystem::remove_all(run_dir_ / "dm_log");
    start_server();
    EXPECT_EQ(ask(RequestType::kFlush).error(), -ESRCH);
    EXPECT_EQ(construct_again(table + " nosync").error(), 0);
    EXPECT_EQ(ask(RequestType::kResume).error(), 0);
    EXPECT_EQ(ask(RequestType::kFlush).error(), 0);
    // The write begins, and the machine dies.
    std::filesystem::remove_all(run_dir_ / "dm_log");
    start_server();
    make_log(table, 2);
    EXPECT_THAT(numbers_of(ask(RequestType::kInSync, {0}, 2)), ElementsAre(0));
    EXPECT_THAT(numbers_of(ask(RequestType::kInSync, {1}, 2)), ElementsAre(1));
}

// The kernel takes a RESUME that fails after its second CTR for an IN_SYNC that says no, and writes
// one leg of regions that are in sync here.
TEST_F(LogServerTest, LogThatCannotBeStoredIsResumedForAKernelThatUsesIt) {
    const std::string table = disk("2048 disk @ 1024");
    make_log(table + " nosync");
    std::filesystem::remove_all(run_dir_ / "dm_log");
    start_server();
    EXPECT_EQ(construct_again(table + " nosync").error(), 0);
    queue_.fails = true;
    EXPECT_EQ(ask(RequestType::kResume).error(), 0);
    EXPECT_THAT(numbers_of(ask(RequestType::kInSync, {0})), ElementsAre(1));
    EXPECT_EQ(ask(RequestType::kFlush).error(), -EIO);
}

TEST_F(LogServerTest, DiskLogOfAnotherMirrorIsRefused) {
    make_log(disk("2048 disk @ 1024"));
    EXPECT_EQ(construct(disk("2048 disk @ 1024"), 2, "mirror-b").error(), -EBUSY);
    EXPECT_EQ(construct(disk("2048 disk @ 1024"), 2, "mirror-a").error(), 0);
}

// Both had been found to be alone before one of them was there.
TEST_F(LogServerTest, OfTwoMirrorsThatAreMadeAtOnceOnOneDiskOneIsRefused) {
    const std::string table = disk("2048 disk @ 1024");
    for (const std::uint64_t luid : {1U, 2U}) {
        Request made =
            with_text(request(RequestType::kCtr, luid, luid == 1 ? "mirror-a" : "mirror-b"), table);
        made.head.seq = static_cast<std::uint32_t>(luid - 1);
        server_->handle(made);
    }
    queue_.settle();
    ASSERT_EQ(answers_.size(), 2U);
    EXPECT_EQ(answers_[0].error(), 0);
    EXPECT_EQ(answers_[1].error(), -EBUSY);
    EXPECT_EQ(server_->list().size(), 1U);
}

TEST_F(LogServerTest, LogThatCannotBeStoredFailsItsFlushUntilItCan) {
    make_log(disk("2048 disk @ 1024 nosync"));
    queue_.fails = true;
    EXPECT_EQ(ask(RequestType::kFlush, {0}).error(), -EIO);
    EXPECT_EQ(server_->list().at(0).state, core::DeviceState::kFailed);
    EXPECT_EQ(test::text_of(ask(RequestType::kStatusInfo)).back(), '\0');
    EXPECT_THAT(test::text_of(ask(RequestType::kStatusInfo)), testing::HasSubstr(" D"));
    queue_.fails = false;
    EXPECT_EQ(ask(RequestType::kFlush).error(), 0);
    EXPECT_THAT(on_disk().clean, ElementsAre(2));
    EXPECT_EQ(server_->list().at(0).state, core::DeviceState::kRunning);
}

// The kernel takes a FLUSH that fails for the end of the log: it holds all writes until a table is
// loaded. What a restart finds may be back in a moment.
TEST_F(LogServerTest, FlushWaitsForALogThatARestartDoesNotFind) {
    make_log(disk("2048 disk @ 1024 nosync"));
    std::filesystem::remove(path());
    start_server();
    EXPECT_EQ(server_->list().at(0).state, core::DeviceState::kFailed);
    Request flush = with_numbers(request(RequestType::kFlush), {0});
    const std::size_t before = answers_.size();
    flush.head.seq = static_cast<std::uint32_t>(before + 1);  // answered behind the next
    server_->handle(flush);
    queue_.settle();
    EXPECT_EQ(answers_.size(), before);
    EXPECT_EQ(test::text_of(ask(RequestType::kStatusInfo)).substr(0, 12), "3 disk 0:0 D");
    (void)disk("@");
    queue_.inner.advance(1s);
    queue_.settle();
    ASSERT_EQ(answers_.size(), before + 2);
    EXPECT_EQ(answers_.back().error(), 0);
    EXPECT_THAT(on_disk().clean, ElementsAre(2));
}

TEST_F(LogServerTest, FlushDoesNotWaitForEverForALogThatARestartDoesNotFind) {
    make_log(disk("2048 disk @ 1024 nosync"));
    std::filesystem::remove(path());
    start_server();
    Request flush = with_numbers(request(RequestType::kFlush), {0});
    const std::size_t before = answers_.size();
    flush.head.seq = static_cast<std::uint32_t>(before);
    server_->handle(flush);
    for (int second = 0; second < 60; ++second) {
        EXPECT_EQ(answers_.size(), before) << second;
        queue_.settle();
        queue_.inner.advance(1s);
    }
    queue_.settle();
    ASSERT_EQ(answers_.size(), before + 1);
    EXPECT_EQ(answers_.back().error(), -EIO);
    EXPECT_EQ(ask(RequestType::kFlush, {0}).error(), -EIO);
}

// A path into a file system whose server is gone held a worker for each attempt, and the load of
// the table for ever.
TEST_F(LogServerTest, TableWhoseLogDoesNotOpenInTimeIsRefused) {
    const std::string table = disk("2048 disk @ 1024");
    for (const std::uint32_t seq : {1000U, 0U}) {
        Request made = with_text(request(RequestType::kCtr), table);
        made.head.seq = seq;  // the first is given up; answered, it would be out of order
        server_->handle(made);
    }
    EXPECT_EQ(queue_.inner.ready(), 1U);  // one attempt to open it, which does not end
    queue_.inner.advance(12s);
    ASSERT_TRUE(queue_.inner.run_at(1));
    ASSERT_EQ(answers_.size(), 1U);
    EXPECT_EQ(answers_[0].error(), -ETIMEDOUT);
    queue_.settle();  // now it does
    EXPECT_EQ(answers_.size(), 1U);
    EXPECT_TRUE(server_->list().empty());
    make_log(table);
    EXPECT_EQ(queue_.inner.timers(), 0U);
}

TEST_F(LogServerTest, KernelThatUsesALogWaitsUntilItOpens) {
    const std::string table = disk("2048 disk @ 1024");
    Request made = with_text(request(RequestType::kCtr), table + std::string(1, '\0'));
    server_->handle(made);
    queue_.inner.advance(60s);
    EXPECT_TRUE(answers_.empty());
    queue_.settle();
    ASSERT_EQ(answers_.size(), 1U);
    EXPECT_EQ(answers_[0].error(), 0);
}

TEST_F(LogServerTest, BlockOnErrorAnswersWhenTheLogIsStored) {
    make_log(disk("2048 disk @ 1024 nosync block_on_error"));
    std::filesystem::remove(path());
    start_server();
    Request flush = with_numbers(request(RequestType::kFlush), {0});
    const std::size_t before = answers_.size();
    flush.head.seq = static_cast<std::uint32_t>(before);
    server_->handle(flush);
    queue_.settle();
    EXPECT_EQ(answers_.size(), before);
    (void)disk("@");
    queue_.inner.advance(1s);
    queue_.settle();
    ASSERT_EQ(answers_.size(), before + 1);
    EXPECT_EQ(answers_.back().error(), 0);
    EXPECT_THAT(on_disk().clean, ElementsAre(2));
}

// Else the table could not be replaced by one whose log works, nor the mirror be removed.
TEST_F(LogServerTest, BlockOnErrorKeepsNoMirrorFromItsSuspension) {
    make_log(disk("2048 disk @ 1024 nosync block_on_error"));
    EXPECT_EQ(ask(RequestType::kFlush, {0}).error(), 0);
    EXPECT_EQ(ask(RequestType::kClearRegion, {0}).error(), 0);
    std::filesystem::remove(path());
    start_server();
    EXPECT_EQ(ask(RequestType::kPresuspend).error(), 0);
    EXPECT_EQ(ask(RequestType::kPostsuspend).error(), -EIO);
    EXPECT_EQ(ask(RequestType::kDtr).error(), 0);
    queue_.inner.advance(1s);
    queue_.settle();
    EXPECT_EQ(queue_.inner.timers(), 0U);  // nobody tries for ever
}

// kmirrord flushes marks while dmlogd flushes what was cleared.
TEST_F(LogServerTest, BlockOnErrorAnswersEachOfTheRequestsThatWait) {
    make_log(disk("2048 disk @ 1024 nosync block_on_error"));
    std::filesystem::remove(path());
    start_server();
    const std::size_t before = answers_.size();
    Request marks = with_numbers(request(RequestType::kFlush), {0});
    marks.head.seq = static_cast<std::uint32_t>(before);
    server_->handle(marks);
    queue_.settle();
    Request clears = request(RequestType::kFlush);
    clears.head.seq = static_cast<std::uint32_t>(before + 1);
    server_->handle(clears);
    queue_.settle();
    EXPECT_EQ(answers_.size(), before);
    (void)disk("@");
    queue_.inner.advance(1s);
    queue_.settle();
    EXPECT_EQ(answers_.size(), before + 2);
}

// The kernel gives a request up after 15 s and makes another.
TEST_F(LogServerTest, BlockOnErrorAnswersTheLastOfTheRequestsThatWait) {
    make_log(disk("2048 disk @ 1024 nosync block_on_error"));
    std::filesystem::remove(path());
    start_server();
    Request flush = with_numbers(request(RequestType::kFlush), {0});
    const std::size_t before = answers_.size();
    for (int round = 0; round < 3; ++round) {
        const std::size_t given_up = round < 2 ? 1000 : 0;  // answered, it would be out of order
        flush.head.seq = static_cast<std::uint32_t>(before + given_up);
        server_->handle(flush);
        queue_.settle();
        queue_.inner.advance(15s);
        queue_.settle();
    }
    EXPECT_EQ(answers_.size(), before);
    (void)disk("@");
    queue_.inner.advance(1s);
    queue_.settle();
    EXPECT_EQ(answers_.size(), before + 1);
}

// What is not in sync is written without a word: the disk must not say for longer than it takes to
// resume that all is clean.
TEST_F(LogServerTest, ResumeThatADaemonDidNotLiveToStoreIsStoredByTheNext) {
    make_log(disk("2048 disk @ 1024 nosync"));
    EXPECT_THAT(on_disk().clean, ElementsAre(3));
    EXPECT_EQ(ask(RequestType::kDtr).error(), 0);
    const std::string before = test::read_file(path());
    make_log(disk("2048 disk @ 1024 sync"), 2);
    test::write_file(path(), before);  // killed before it got there ...
    forget_stored(2);                  // ... and so not noted
    start_server();
    EXPECT_THAT(on_disk().clean, ElementsAre(0));
}

// A table that was replaced while no daemon ran has left its log, in the same file.
TEST_F(LogServerTest, LogThatNobodyUsesIsNotWrittenOverTheOneInUse) {
    for (const auto& [stale, used] : {std::pair(1, 2), std::pair(4, 3)}) {
        make_log(disk("2048 disk @ 1024 nosync"), stale);
        make_log(disk("2048 disk @ 1024"), used);
        EXPECT_EQ(ask(RequestType::kMarkRegion, {1}, used).error(), 0);
        EXPECT_THAT(on_disk().clean, ElementsAre(1));
        for (const int luid : {stale, used}) {
            forget_stored(luid);
        }
        start_server();
        EXPECT_THAT(on_disk().clean, ElementsAre(1)) << "one that is out of date was stored";
        EXPECT_EQ(ask(RequestType::kFlush, {1}, used).error(), 0);
        EXPECT_THAT(on_disk().clean, ElementsAre(1));
        for (const int luid : {stale, used}) {
            EXPECT_EQ(ask(RequestType::kDtr, {}, luid).error(), 0);
        }
    }
}

TEST_F(LogServerTest, ResumeThatCouldNotBeStoredIsStoredLater) {
    make_log(disk("2048 disk @ 1024 nosync"));
    EXPECT_EQ(ask(RequestType::kDtr).error(), 0);
    EXPECT_EQ(construct(disk("2048 disk @ 1024 sync"), 2).error(), 0);
    queue_.fails = true;
    EXPECT_EQ(ask(RequestType::kResume, {}, 2).error(), 0);
    EXPECT_EQ(server_->list().at(0).state, core::DeviceState::kFailed);
    queue_.fails = false;
    queue_.inner.advance(1s);
    queue_.settle();
    EXPECT_THAT(on_disk().clean, ElementsAre(0));
    EXPECT_EQ(server_->list().at(0).state, core::DeviceState::kRunning);
    EXPECT_EQ(queue_.inner.timers(), 0U);
}

TEST_F(LogServerTest, RestartWritesNothingBeforeItIsAsked) {
    make_log(disk("2048 disk @ 1024 nosync"));
    test::write_file(path(), std::string(4096, '\x55'));
    start_server();
    EXPECT_EQ(test::read_file(path()), std::string(4096, '\x55'));
    EXPECT_EQ(server_->list().at(0).state, core::DeviceState::kRunning);
}

TEST_F(LogServerTest, ListTellsOfEachLog) {
    EXPECT_EQ(construct("2048 core 1024 nosync").error(), 0);
    EXPECT_EQ(server_->list().at(0).state, core::DeviceState::kOpening);
    EXPECT_EQ(ask(RequestType::kResume).error(), 0);
    EXPECT_EQ(ask(RequestType::kMarkRegion, {1}).error(), 0);
    const core::DeviceStatus log = server_->list().at(0);
    EXPECT_EQ(log.front_end, "dm-log");
    EXPECT_EQ(log.name, "mirror-a");
    EXPECT_EQ(log.config, "core 1024 nosync");
    EXPECT_EQ(log.state, core::DeviceState::kRunning);
    EXPECT_EQ(log.size, 2048U * 512);
    EXPECT_EQ(log.region_size, 1024U * 512);
    EXPECT_EQ(log.regions, 2U);
    EXPECT_EQ(log.regions_in_sync, 2U);
    EXPECT_EQ(log.regions_dirty, 1U);
}

}  // namespace
}  // namespace lunkit::dm_log
