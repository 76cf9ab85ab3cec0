// SPDX-License-Identifier: Apache-2.0
#include "dm_log/disk_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "host/own_storage.hpp"
#include "support/engine_rig.hpp"
#include "support/fake_engine_queue.hpp"

namespace lunkit::dm_log {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kRegions = 20'000;  // a bitmap of several blocks

struct Log {
    std::vector<std::uint64_t> memory = std::vector<std::uint64_t>(DirtyLog::words_for(kRegions));
    DirtyLog bits{kRegions, memory};
};

class DiskStoreTest : public test::EngineRig {
  protected:
    void SetUp() override {
        EngineRig::SetUp();
        test::write_file(path(), std::string(8192, '\0'));
    }
    [[nodiscard]] std::string path() const { return folder_ / "log"; }
    disk::Contents on_disk() {
        const std::string bytes = test::read_file(path());
        return *disk::decode(std::as_bytes(std::span(bytes)));
    }
};

TEST_P(DiskStoreTest, WhatIsMarkedIsOnDiskWhenStoreEnds) {
    DiskStore store(queue(), path(), kRegions);
    Log log;
    log.bits.begin({}, 0, true);
    ASSERT_TRUE(run(store.store(log.bits)));
    EXPECT_EQ(on_disk().regions, kRegions);
    log.bits.mark(3);
    log.bits.mark(kRegions - 1);
    ASSERT_TRUE(run(store.store(log.bits)));
    const disk::Contents contents = on_disk();
    EXPECT_TRUE(std::ranges::equal(contents.clean, log.bits.clean_words()));
    EXPECT_FALSE(log.bits.has_changes());
}

TEST_P(DiskStoreTest, OnlyWhatChangedIsWritten) {
    DiskStore store(queue(), path(), kRegions);
    Log log;
    log.bits.begin({}, 0, true);
    ASSERT_TRUE(run(store.store(log.bits)));
    test::write_file(path(), std::string(8192, '\xaa'));
    log.bits.mark(0);
    ASSERT_TRUE(run(store.store(log.bits)));
    std::string expected(8192, '\xaa');
    expected.replace(disk::kBitmapOffset, 8, "\xfe\xff\xff\xff\xff\xff\xff\xff");
    EXPECT_EQ(test::read_file(path()), expected);
}

TEST_P(DiskStoreTest, LoadGivesWhatAnotherHasWritten) {
    DiskStore writer(queue(), path(), kRegions);
    Log log;
    log.bits.begin({}, 0, true);
    log.bits.mark(77);
    ASSERT_TRUE(run(writer.store(log.bits)));
    DiskStore reader(queue(), path(), kRegions);
    const auto contents = run(reader.load());
    ASSERT_TRUE(contents);
    EXPECT_EQ(contents->regions, kRegions);
    EXPECT_TRUE(std::ranges::equal(contents->clean, log.bits.clean_words()));
}

TEST_P(DiskStoreTest, LogOfAnUnknownVersionIsNotOpenedForUse) {
    std::string bytes(8192, '\0');
    bytes.replace(0, 8, std::string("\x72\x52\x69\x4d\x07\0\0\0", 8));
    test::write_file(path(), bytes);
    DiskStore store(queue(), path(), kRegions);
    const auto contents = run(store.load());
    ASSERT_FALSE(contents);
    EXPECT_THAT(contents.error().what, HasSubstr("version 7"));
    EXPECT_EQ(test::read_file(path()), bytes);
}

TEST_P(DiskStoreTest, WhatCannotHoldALogIsRefused) {
    const auto refusal = [this](const std::string& at) {
        DiskStore store(queue(), at, kRegions);
        const Status status = run(store.open());
        return status ? "" : status.error().what;
    };
    EXPECT_EQ(refusal(path()), "");
    EXPECT_THAT(refusal(folder_ / "missing"), HasSubstr("No such file"));
    EXPECT_THAT(refusal(folder_.path()), HasSubstr("neither a regular file nor a block device"));
    EXPECT_THAT(refusal("/dev/null"), HasSubstr("neither"));
    ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
    EXPECT_THAT(refusal(folder_ / "fifo"), HasSubstr("neither"));
    test::write_file(folder_ / "small", std::string(2000, '\0'));
    EXPECT_THAT(refusal(folder_ / "small"), HasSubstr("has 2000 bytes"));
}

// At the daemon's stop what was still to be written waited, for ever, for a device that had left.
TEST_P(DiskStoreTest, LogOnADeviceOfThisDaemonIsRefused) {
    struct stat status{};
    ASSERT_EQ(::stat(path().c_str(), &status), 0);
    const std::filesystem::path sysfs = folder_ / "sys";
    std::filesystem::create_directories(sysfs / "block/ublkb3");
    std::filesystem::create_directories(sysfs / "dev/block");
    std::filesystem::create_symlink(
        sysfs / "block/ublkb3",
        sysfs / fmt::format("dev/block/{}:{}", major(status.st_dev), minor(status.st_dev)));
    const host::OwnStorage own([](const std::string& disk) { return disk == "ublkb3"; }, sysfs);
    const auto opened = LogFile::open(path(), kRegions);
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().what, HasSubstr("lies on ublkb3, which is served by this daemon"));
}

// As a predecessor's would, of which a transfer is still in flight.
TEST_P(DiskStoreTest, DescriptorThatAnotherHasKeepsItWaiting) {
    UniqueFd other(::open(path().c_str(), O_RDWR | O_CLOEXEC));
    struct flock whole{};
    whole.l_type = F_RDLCK;
    whole.l_whence = SEEK_SET;
    ASSERT_EQ(::fcntl(other.get(), F_OFD_SETLK, &whole), 0);
    std::atomic<bool> has_ended = false;
    std::thread later([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        has_ended = true;
        other.reset();
    });
    EXPECT_TRUE(LogFile::open(path(), kRegions));
    EXPECT_TRUE(has_ended);
    later.join();
}

TEST_P(DiskStoreTest, OurOwnLogsDoNotWaitForEachOther) {
    ASSERT_EQ(::symlink("log", (folder_ / "other").c_str()), 0);
    const auto first = LogFile::open(path(), kRegions);
    const auto second = LogFile::open(folder_ / "other", kRegions);
    ASSERT_TRUE(first);
    ASSERT_TRUE(second) << second.error().what;
    EXPECT_EQ(first->identity, second->identity);
}

LUNKIT_ON_EACH_ENGINE(DiskStoreTest);

/// Starts a store() and keeps what it came to.
Detached start(DiskStore& store, DirtyLog& log, std::vector<bool>& ended) {
    const Status status = co_await store.store(log);
    ended.push_back(status.has_value());
}

TEST(DiskStore, ThoseWhoWaitGoAlongWithOneWrite) {
    const test::BuildFolder folder;
    test::write_file(folder / "log", std::string(8192, '\0'));
    test::FakeEngineQueue queue;
    DiskStore store(queue, folder / "log", kRegions);
    Log log;
    log.bits.begin({}, 0, true);
    std::vector<bool> ended;
    start(store, log.bits, ended);
    log.bits.mark(1);
    start(store, log.bits, ended);
    log.bits.mark(2);
    start(store, log.bits, ended);
    queue.settle();
    EXPECT_EQ(ended, (std::vector<bool>{true, true, true}));
    EXPECT_FALSE(log.bits.has_changes());
}

/// Notes in which order the file is written and synchronized.
class OrderedQueue final : public test::FakeEngineQueue {
  public:
    std::vector<std::string> order;
    int submit_transfer(const core::FileTransfer& transfer,
                        lunkit_completion* completion) override {
        order.push_back("write " + std::to_string(transfer.offset));
        return FakeEngineQueue::submit_transfer(transfer, completion);
    }
    int submit_data_sync(int fd, const void* lane, lunkit_completion* completion) override {
        order.emplace_back("sync");
        return FakeEngineQueue::submit_data_sync(fd, lane, completion);
    }
};

TEST(DiskStore, MarksAreSynchronizedAndTheHeaderIsWrittenLast) {
    const test::BuildFolder folder;
    test::write_file(folder / "log", std::string(8192, '\xff'));
    OrderedQueue queue;
    DiskStore store(queue, folder / "log", kRegions);
    Log log;
    log.bits.begin({}, 0, true);
    std::vector<bool> ended;
    start(store, log.bits, ended);
    queue.settle();
    EXPECT_EQ(queue.order, (std::vector<std::string>{"write 1024", "sync", "write 0", "sync"}));
    queue.order.clear();
    log.bits.mark(64);
    start(store, log.bits, ended);
    queue.settle();
    EXPECT_EQ(queue.order, (std::vector<std::string>{"write 1032", "sync"}));
    queue.order.clear();
    log.bits.clear(64);
    start(store, log.bits, ended);
    queue.settle();
    EXPECT_EQ(queue.order, (std::vector<std::string>{"write 1032"}));  // clean may come later
    EXPECT_EQ(ended, (std::vector<bool>{true, true, true}));
}

TEST(DiskStore, FailureKeepsTheChanges) {
    const test::BuildFolder folder;
    test::FakeEngineQueue queue;
    DiskStore store(queue, folder / "log", kRegions);
    Log log;
    log.bits.begin({}, 0, true);
    std::vector<bool> ended;
    start(store, log.bits, ended);
    queue.settle();
    EXPECT_EQ(ended, (std::vector<bool>{false}));
    EXPECT_TRUE(log.bits.has_changes());
    test::write_file(folder / "log", std::string(8192, '\0'));
    start(store, log.bits, ended);
    queue.settle();
    EXPECT_EQ(ended, (std::vector<bool>{false, true}));
    EXPECT_FALSE(log.bits.has_changes());
}

}  // namespace
}  // namespace lunkit::dm_log
