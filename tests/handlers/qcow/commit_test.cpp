// SPDX-License-Identifier: Apache-2.0
// Commits of an image: what waits for which barrier, and what a failed one leaves.
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include <gmock/gmock.h>

#include "../ordered_host.hpp"
#include "qcow/qcow_device.hpp"
#include "qcow_rig.hpp"
#include "support/engine_rig.hpp"
#include "support/run_task.hpp"

namespace lunkit::qcow {
namespace {

using test::Started;
using ::testing::Contains;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::uint64_t kCluster = 64 << 10U;

class QcowCommit : public QcowRig {
  protected:
    void create(const std::string& options, std::uint64_t size) {
        size_ = size;
        QcowRig::create("image", options, size);
    }
    void fill(std::uint64_t bytes) { qemu_io("image", "write -P 1 0 " + std::to_string(bytes)); }
    void open(const std::string& options = "") {
        const std::string config = image_ + options;
        auto opened = QcowDevice::open({.config = config,
                                        .name = "user_0/disk1",
                                        .size = size_,
                                        .block_size = 512,
                                        .read_only = false,
                                        .take_over = false,
                                        .host = host_.table(),
                                        .host_device = nullptr});
        ASSERT_TRUE(opened) << opened.error().what;
        device_ = std::move(*opened);
        host_.calls.clear();
    }
    /// Each write needs a barrier, and there is stock.
    void open_over_snapshot() {
        create("cluster_size=64k", 64 * kMiB);
        fill(8 * kMiB);
        qemu_img({"snapshot", "-c", "kept", folder_ / "image"});
        open();
        for (std::uint64_t i = 64; i < 80; ++i) {
            ASSERT_TRUE(good(start_write(i * kCluster, kCluster)));
        }
        host_.calls.clear();
    }
    Started& start_write(
        std::uint64_t offset, std::uint64_t length, std::uint32_t flags = 0,
        const std::function<void()>& at_its_end = [] {}) {
        Started& one = started_.emplace_back();
        one.bytes = test::pattern(length);
        one.data = std::make_unique<SingleData>(one.bytes.data(), one.bytes.size());
        one.io = IoRequest(offset, *one.data, flags);
        test::detail::drive(device_->write(host_.queue(), one.io), one.ended, at_its_end);
        host_.queue().run_all();
        return one;
    }
    Started& start_read(std::uint64_t offset, std::uint64_t length) {
        Started& one = started_.emplace_back();
        one.bytes.resize(length);
        one.data = std::make_unique<SingleData>(one.bytes.data(), one.bytes.size());
        one.io = IoRequest(offset, *one.data);
        test::detail::drive(device_->read(host_.queue(), one.io), one.ended, [] {});
        host_.queue().run_all();
        return one;
    }
    Started& start_discard(std::uint64_t offset, std::uint64_t length) {
        Started& one = started_.emplace_back();
        one.io = IoRequest(offset, length, 0);
        test::detail::drive(device_->discard(host_.queue(), one.io), one.ended, [] {});
        host_.queue().run_all();
        return one;
    }
    Status flush() { return test::run_task(host_.queue(), device_->flush(host_.queue())); }
    static bool good(const Started& one) { return one.ended && one.ended->has_value(); }
    void release() {
        host_.release();
        host_.queue().run_all();
    }
    void release_one() {
        host_.release_one();
        host_.queue().run_all();
    }
    [[nodiscard]] std::int64_t flushes() const {
        return std::ranges::count(host_.calls, std::string("flush"));
    }

    const std::string image_ = folder_ / "image";
    std::uint64_t size_ = 0;
    test::OrderedHost host_;
    std::list<Started> started_;
    std::unique_ptr<QcowDevice> device_;
};

TEST_F(QcowCommit, WritesGoOnWhileNewStockWaitsForItsBarrier) {
    create("cluster_size=64k", 64 * kMiB);
    open();
    std::uint64_t next = 0;
    const auto write_next = [&]() -> Started& {
        next += kCluster;
        return start_write(next - kCluster, kCluster);
    };
    for (int i = 0; i < 64; ++i) {
        ASSERT_TRUE(good(write_next()));
    }
    host_.hold("flush");
    while (host_.held() == 0 && next < size_) {
        (void)write_next();
    }
    ASSERT_EQ(1U, host_.held()) << "no stock was renewed";
    EXPECT_TRUE(good(write_next()));
    EXPECT_TRUE(good(write_next()));
    release();
    EXPECT_TRUE(std::ranges::all_of(started_, good));
}

TEST_F(QcowCommit, BarriersGetRarerAsAnImageGrows) {
    create("cluster_size=64k", 256 * kMiB);
    open();
    for (std::uint64_t i = 0; i < 64 * kMiB / kCluster; ++i) {
        ASSERT_TRUE(good(start_write(i * kCluster, kCluster)));
    }
    EXPECT_LT(flushes(), 16);
    EXPECT_GT(flushes(), 2);
}

TEST_F(QcowCommit, WhatAPredecessorMayHaveLeftUnsyncedIsMadeDurableWithAnOverwrite) {
    create("cluster_size=64k", 4 * kMiB);
    fill(kMiB);
    open();
    EXPECT_TRUE(good(start_write(kCluster, 4096, LUNKIT_IO_FUA)));
    EXPECT_EQ("flush", host_.calls.back());
    EXPECT_TRUE(good(start_write(kCluster, 4096, LUNKIT_IO_FUA)));
    EXPECT_THAT(host_.calls.back(), StartsWith("write "));
}

TEST_F(QcowCommit, ManyDiscardedClustersBecomeFreeWithoutAFlush) {
    create("cluster_size=4k", 64 * kMiB);
    fill(64 * kMiB);
    open();
    EXPECT_TRUE(good(start_discard(0, 64 * kMiB)));
    EXPECT_THAT(host_.calls, Contains(StartsWith("discard ")));
}

TEST_F(QcowCommit, WhenNoSpaceIsLeftDiscardedClustersAreMadeFreeAndUsed) {
    create("cluster_size=64k", 4 * kMiB);
    fill(2 * kMiB);
    open();
    EXPECT_TRUE(good(start_write(0, 4096)));
    EXPECT_TRUE(good(start_discard(kMiB, kCluster)));
    EXPECT_THAT(host_.calls, Not(Contains(StartsWith("discard "))));
    // The file system is full: behind the end of the file nothing can be written.
    const std::uint64_t end = std::filesystem::file_size(image_);
    for (std::uint64_t at = end; at < end + 4 * kMiB; at += 512) {
        host_.faults["write " + std::to_string(at)] = ENOSPC;
    }
    EXPECT_TRUE(good(start_write(3 * kMiB, kCluster)));
    EXPECT_THAT(host_.calls, Contains(StartsWith("discard ")));
}

TEST_F(QcowCommit, NothingIsLinkedAtTheEndAfterAFlushHasFailed) {
    create("cluster_size=64k", 4 * kMiB);
    open(";commit=flush");
    EXPECT_TRUE(good(start_write(kMiB, kCluster)));
    host_.faults["flush"] = EIO;
    EXPECT_FALSE(flush());
    host_.faults.clear();
    device_.reset();
    qemu_io("image", "read -P 0 1M 64k");
}

// An entry may lead to a cluster that is counted and was never written, and that is found to lie
// behind the stock, which ends there.
TEST_F(QcowCommit, TheEndCutsNothingOffThatLiesBehindTheStock) {
    create("cluster_size=64k", 4 * kMiB);
    fill(kMiB);
    constexpr std::uint64_t kRefcountBlock = 2 * kCluster;
    constexpr std::uint64_t kL2Table = 4 * kCluster;
    const std::uint64_t behind = std::filesystem::file_size(image_) + 4 * kCluster;
    patch("image", static_cast<off_t>(kRefcountBlock + behind / kCluster * 2),
          std::string("\0\1", 2));
    ASSERT_LT(behind, 1U << 24U);
    patch(
        "image", kL2Table + 40 * 8,
        std::string("\x80\0\0\0\0", 5) + static_cast<char>(behind >> 16U) + std::string("\0\0", 2));
    open();
    EXPECT_TRUE(good(start_write(20 * kCluster, kCluster)));  // stock is ordered
    ASSERT_EQ(behind, std::filesystem::file_size(image_));
    EXPECT_TRUE(good(start_write(40 * kCluster, kCluster)));
    const std::string written = started_.back().bytes;
    device_.reset();
    expect_clean("image");
    EXPECT_TRUE(content_by_qemu("image").substr(40 * kCluster, kCluster) == written);
}

// Each slice of an L2 table covers 32 MiB; all of them wait for the flush.
TEST_F(QcowCommit, ACacheThatGrewShrinksAgain) {
    constexpr std::uint64_t kSlice = 32 * kMiB;
    constexpr std::uint64_t kSlices = 60;
    create("cluster_size=64k", (kSlices + 1) * kSlice);
    open(";commit=flush;cache=64K");
    for (std::uint64_t i = 0; i < kSlices; ++i) {
        ASSERT_TRUE(good(start_write(i * kSlice, 4096)));
    }
    ASSERT_TRUE(flush());
    ASSERT_TRUE(good(start_write(kSlices * kSlice, 4096)));
    host_.calls.clear();
    for (std::uint64_t i = kSlices; i-- > 0;) {
        ASSERT_TRUE(good(start_read(i * kSlice, 4096)));
    }
    const std::int64_t reads = std::ranges::count_if(
        host_.calls, [](const std::string& call) { return call.starts_with("read "); });
    EXPECT_GT(reads, static_cast<std::int64_t>(kSlices) * 3 / 2) << "it keeps them all";
}

// Counts that only go down wait for nothing: a barrier has been before they did.
TEST_F(QcowCommit, CountsOfClustersThatWereReplacedAreWrittenWithTheNextLinks) {
    open_over_snapshot();
    ASSERT_TRUE(good(start_write(9 * kCluster, kCluster)));
    ASSERT_EQ(4U, host_.calls.size());
    EXPECT_THAT(host_.calls[0], StartsWith("write "));  // the data
    EXPECT_EQ("flush", host_.calls[1]);
    EXPECT_THAT(host_.calls[2], StartsWith("write "));  // the link, and the counts
    EXPECT_THAT(host_.calls[3], StartsWith("write "));
}

// While those whom a commit served go on, the disk works for the others.
TEST_F(QcowCommit, TheNextBarrierBeginsBeforeAnybodyIsTold) {
    open_over_snapshot();
    started_.clear();
    std::int64_t at_first = 0;
    std::int64_t at_second = 0;
    host_.hold("flush");
    (void)start_write(kCluster, kCluster);
    host_.calls.clear();
    (void)start_write(2 * kCluster, kCluster, 0, [&] { at_first = flushes(); });
    (void)start_write(3 * kCluster, kCluster, 0, [&] { at_second = flushes(); });
    release_one();  // the first write's; the two share the next
    ASSERT_EQ(1U, host_.held());
    ASSERT_TRUE(good(started_.front()));
    (void)start_write(4 * kCluster, kCluster);  // the one behind
    release_one();
    EXPECT_TRUE(good(*std::next(started_.begin(), 2)));
    EXPECT_EQ(1, at_first);  // who leads, ends first
    EXPECT_EQ(2, at_second) << "the next had to wait for those who were served";
    release();
    EXPECT_TRUE(std::ranges::all_of(started_, good));
}

TEST_F(QcowCommit, NoBarrierIsSpentOnAFewWhileMostAreAtTheirData) {
    open_over_snapshot();
    host_.hold("write ");
    for (std::uint64_t i = 0; i < 4; ++i) {
        (void)start_write(i * kCluster, kCluster);
    }
    ASSERT_EQ(4U, host_.held());
    release_one();
    EXPECT_EQ(0, flushes());
    release_one();
    EXPECT_EQ(1, flushes());
    release();
    EXPECT_TRUE(std::ranges::all_of(started_, good));
}

TEST_F(QcowCommit, AFlushWaitsForNoneOfThoseWhoAreAtTheirData) {
    open_over_snapshot();
    host_.hold("write ");
    for (std::uint64_t i = 0; i < 4; ++i) {
        (void)start_write(i * kCluster, kCluster);
    }
    release_one();
    ASSERT_EQ(0, flushes());
    Started& flushed = started_.emplace_back();
    test::detail::drive(device_->flush(host_.queue()), flushed.ended, [] {});
    host_.queue().run_all();
    EXPECT_EQ(1, flushes());
    release();
    EXPECT_TRUE(std::ranges::all_of(started_, good));
}

TEST_F(QcowCommit, TheEndCutsTheStockOffTheFile) {
    create("cluster_size=64k", 64 * kMiB);
    open();
    for (std::uint64_t i = 0; i < 64; ++i) {
        ASSERT_TRUE(good(start_write(i * kCluster, kCluster)));
    }
    const std::uint64_t before = std::filesystem::file_size(image_);
    device_.reset();
    const std::uint64_t after = std::filesystem::file_size(image_);
    EXPECT_LT(after, before);
    EXPECT_LE(after, 64 * kCluster + 6 * kCluster);
    expect_clean("image");
    open();
    EXPECT_TRUE(good(start_write(0, kCluster)));  // the first flushes before it
    host_.hold("flush");
    EXPECT_FALSE(good(start_write(63 * kMiB, kCluster)));  // the first has a barrier
    release();
    EXPECT_TRUE(good(start_write(62 * kMiB, kCluster)));
    host_.hold("flush");
    EXPECT_TRUE(good(start_write(61 * kMiB, kCluster)));  // and is followed by stock
    release();
}

}  // namespace
}  // namespace lunkit::qcow
