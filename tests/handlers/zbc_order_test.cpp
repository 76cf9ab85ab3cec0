// SPDX-License-Identifier: Apache-2.0
// ZbcDevice: what runs beside what, in which order the file is changed, and what failures leave.
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "ordered_host.hpp"
#include "support/engine_rig.hpp"
#include "zbc/zbc_device.hpp"

namespace lunkit::zbc {
namespace {

using test::pattern;
using test::Started;
using ::testing::ElementsAre;

constexpr std::uint64_t kZone = 64 << 10U;
constexpr std::uint64_t kZones = 8;
constexpr std::uint64_t kBlock = 4096;

// Sequential zones only, of which two can be open.
class ZbcOrder : public ::testing::Test {
  protected:
    void SetUp() override { open(";zone_size=64K;max_open=2"); }

    void open(const std::string& options = "", bool take_over = false) {
        auto opened = try_open(options, take_over);
        ASSERT_TRUE(opened) << opened.error().what;
        device_ = std::move(*opened);
        host_.calls.clear();
    }
    Result<std::unique_ptr<ZbcDevice>> try_open(const std::string& options,
                                                bool take_over = false) {
        const std::string config = disk_ + options;
        return ZbcDevice::open({.config = config,
                                .name = "user_0/disk1",
                                .size = kZones * kZone,
                                .block_size = 512,
                                .read_only = false,
                                .take_over = take_over,
                                .host = host_.table(),
                                .host_device = nullptr});
    }
    /// The file as it is at this moment, in another boot: as after a loss of power in which all
    /// that was written has reached the disk.
    void lose_power() {
        kill();
        forget_boot();
        open();
    }
    /// The file stays as it is at this moment.
    void kill() {
        std::filesystem::copy_file(disk_, disk_ + ".then");
        device_.reset();
        std::filesystem::rename(disk_ + ".then", disk_);
    }
    /// Of a zone, in the file.
    static constexpr std::streamoff kTable = 8192;
    static constexpr std::size_t kRecord = 32;
    std::string record(std::uint64_t zone) {
        return test::read_file(disk_).substr(kTable + zone * kRecord, kRecord);
    }
    void set_record(std::uint64_t zone, const std::string& bytes) {
        std::fstream file(disk_, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(kTable + static_cast<std::streamoff>(zone * kRecord)) << bytes;
    }
    static std::uint64_t data_of(std::uint64_t zone) { return (1U << 20U) + zone * kZone; }
    void forget_boot() {
        std::fstream file(disk_, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(4096) << std::string(4096, '\0');
    }

    Started& start_write(std::uint64_t zone, std::uint64_t offset, std::uint64_t length = kBlock,
                         std::uint32_t flags = 0) {
        Started& one = started_.emplace_back();
        one.bytes = pattern(length);
        one.data = std::make_unique<SingleData>(one.bytes.data(), one.bytes.size());
        one.io = IoRequest(zone * kZone + offset, *one.data, flags);
        test::detail::drive(device_->write(host_.queue(), one.io), one.ended, [] {});
        return one;
    }
    Started& start_flush() {
        Started& one = started_.emplace_back();
        test::detail::drive(device_->flush(host_.queue()), one.ended, [] {});
        return one;
    }
    Started& start_action(ZoneAction action, std::uint64_t first, std::uint64_t count = 1,
                          std::uint32_t flags = 0) {
        Started& one = started_.emplace_back();
        one.io = IoRequest(first * kZone, count * kZone, flags);
        test::detail::drive(device_->manage_zones(host_.queue(), action, one.io), one.ended, [] {});
        return one;
    }
    static std::string end(const Started& one) {
        if (!one.ended) {
            return "runs";
        }
        return *one.ended ? "good" : "error " + std::to_string(one.ended->error().code);
    }
    std::string end_of(Started& one) {
        host_.queue().run_all();
        return end(one);
    }
    void release() {
        host_.release();
        host_.queue().run_all();
    }
    std::array<Zone, kZones> zones() {
        std::array<Zone, kZones> found{};
        const IoRequest all(0, kZones * kZone);
        (void)test::run_task(host_.queue(), device_->report_zones(host_.queue(), all, found));
        return found;
    }
    std::uint64_t written(std::uint64_t zone) {
        const Zone one = zones()[zone];
        return one.write_pointer - one.start;
    }
    /// Letters of the conditions: empty, implicitly opened, Explicitly, closed, full.
    std::string conditions() {
        std::string text;
        for (const Zone& one : zones()) {
            text += one.condition == LUNKIT_ZONE_FULL ? 'f' : "-eiEc"[one.condition];
        }
        return text;
    }

    test::BuildFolder folder_;
    const std::string disk_ = folder_ / "zoned";
    test::OrderedHost host_;
    std::list<Started> started_;
    std::unique_ptr<ZbcDevice> device_;
};

// A flush that began before must not make durable what the reset takes back.
TEST_F(ZbcOrder, AResetIsNotUndoneByAFlushThatRunsBesideIt) {
    EXPECT_EQ(end_of(start_write(2, 0)), "good");
    host_.hold("flush");
    Started& flush = start_flush();
    Started& reset = start_action(ZoneAction::kReset, 2);
    ASSERT_EQ(host_.held(), 1U);
    release();
    EXPECT_EQ(end(flush), "good");
    EXPECT_EQ(end(reset), "good");
    lose_power();
    EXPECT_EQ(written(2), 0U);
}

TEST_F(ZbcOrder, AWriteThatCouldNotBeStoredIsNotMadeDurableByAFlushBesideIt) {
    EXPECT_EQ(end_of(start_write(2, 0, kBlock, LUNKIT_IO_FUA)), "good");
    host_.hold("write 8192");
    Started& lost = start_write(2, kBlock);
    ASSERT_EQ(host_.held(), 1U);
    host_.fail_held(EIO);  // the table; the flush below waits for its own
    host_.hold("flush");
    Started& flush = start_flush();
    EXPECT_EQ(end_of(lost), "error 5");
    EXPECT_EQ(end_of(start_write(2, kBlock, 2 * kBlock)), "good");
    release();
    EXPECT_EQ(end(flush), "good");
    lose_power();
    EXPECT_EQ(written(2), kBlock);  // nothing of it was flushed
}

TEST_F(ZbcOrder, AFileThatWasMadeForNothingIsRemoved) {
    device_.reset();
    bool made = false;
    for (std::uint64_t failing = 1; !made; ++failing) {
        std::filesystem::remove(disk_);
        host_.allocations = failing;
        made = static_cast<bool>(try_open(";zone_size=64K"));
        EXPECT_EQ(std::filesystem::exists(disk_), made) << failing;
        ASSERT_LT(failing, 10U);
    }
    host_.allocations = 0;
}

// To make room the command closes zones itself: those were not closed when it began.
TEST_F(ZbcOrder, OpenAllOpensTheZonesThatWereClosedWhenItBegan) {
    for (const std::uint64_t zone : {3U, 4U, 5U}) {
        EXPECT_EQ(end_of(start_write(zone, 0)), "good");
    }
    EXPECT_EQ(conditions(), "eeeciiee");
    EXPECT_EQ(end_of(start_action(ZoneAction::kOpen, 0, kZones, LUNKIT_IO_ALL_ZONES)), "good");
    EXPECT_EQ(conditions(), "eeeEciee");
}

TEST_F(ZbcOrder, OfTwoCommandsThatOpenZonesEachOpensAllOfThemOrNone) {
    EXPECT_EQ(end_of(start_write(0, 0)), "good");
    host_.hold("write 8192");
    Started& two = start_action(ZoneAction::kOpen, 2, 2);
    Started& one = start_action(ZoneAction::kOpen, 5);
    ASSERT_GT(host_.held(), 0U);
    release();
    EXPECT_EQ(end(two), "good");
    EXPECT_EQ(end(one), "error 109");  // ETOOMANYREFS
    EXPECT_EQ(conditions(), "ceEEeeee");
}

// Three zones are open, of which two can be: a table that was hardly written so, but fits.
TEST_F(ZbcOrder, ASuccessorKeepsWhatWasOpenedExplicitlyFirst) {
    for (const std::uint64_t zone : {1U, 2U}) {
        EXPECT_EQ(end_of(start_write(zone, 0)), "good");
    }
    const std::string open_implicitly = record(1);
    EXPECT_EQ(end_of(start_action(ZoneAction::kOpen, 5, 2)), "good");
    EXPECT_EQ(conditions(), "ecceeEEe");
    host_.handing_over = true;
    device_.reset();
    set_record(1, open_implicitly);
    open("", true);
    EXPECT_EQ(conditions(), "ecceeEEe");
}

// More zones than can be open, all written at once.
TEST_F(ZbcOrder, AZoneThatIsBeingWrittenIsNotClosed) {
    host_.hold("write 1");  // data, and no table
    Started& a = start_write(1, 0);
    Started& b = start_write(2, 0);
    Started& c = start_write(3, 0);
    Started& d = start_write(4, 0);
    host_.queue().run_all();
    EXPECT_EQ(host_.held(), 2U);
    EXPECT_EQ(conditions(), "eiieeeee");
    host_.release_one();
    host_.queue().run_all();
    EXPECT_EQ(end(a) + end(b) + end(c) + end(d), "goodrunsrunsruns");
    EXPECT_EQ(conditions(), "eciieeee");  // who waited first comes first
    host_.release_one();
    host_.queue().run_all();
    EXPECT_EQ(end(a) + end(b) + end(c) + end(d), "goodgoodrunsruns");
    EXPECT_EQ(conditions(), "ecciieee");
    release();
    EXPECT_EQ(end(c) + end(d), "goodgood");
    EXPECT_EQ(conditions(), "ecciieee");
}

// What was finished before the error is full, also for who comes after a loss of power.
TEST_F(ZbcOrder, WhatWasFinishedBeforeAnErrorIsStored) {
    host_.faults["zero " + std::to_string(data_of(3))] = EIO;
    EXPECT_EQ(end_of(start_action(ZoneAction::kFinish, 2, 3)), "error 5");
    EXPECT_EQ(conditions(), "eefeeeee");
    lose_power();
    EXPECT_EQ(conditions(), "eefeeeee");
}

TEST_F(ZbcOrder, WhatWasClosedBeforeAnErrorIsStored) {
    EXPECT_EQ(end_of(start_action(ZoneAction::kOpen, 2, 2)), "good");
    host_.faults["write 8192"] = EIO;
    EXPECT_EQ(end_of(start_action(ZoneAction::kClose, 2)), "error 5");
    EXPECT_EQ(conditions(), "eeeEeeee");
    host_.faults.clear();
    EXPECT_EQ(end_of(start_write(5, 0)), "good");  // stores the whole block of the table
    host_.handing_over = true;
    kill();
    open("", true);
    EXPECT_EQ(conditions(), "eeeEeiee");
}

// What is sealed was written by somebody who knows the format; it is believed no more for that.
TEST_F(ZbcOrder, RefusesSealedHeadersOfZonesThatCannotBe) {
    const Geometry good{.block_size = 512, .zone_size = kZone, .size = kZones * kZone};
    std::vector<Geometry> bad(7, good);
    bad[0].size = (kMaxZones + 1) * kZone;
    bad[1].size = std::uint64_t{1} << 63U;
    bad[2].size = ~std::uint64_t{0};
    bad[3].block_size = 0;
    bad[4].block_size = 3;
    bad[5].conventional_zones = kZones;
    bad[6].zone_size = 0;
    TableBlock block{};
    for (std::size_t i = 0; i < bad.size(); ++i) {
        encode_header(bad[i], block);
        EXPECT_FALSE(decode_header(block, "disk")) << i;
    }
    encode_header(good, block);
    const auto decoded = decode_header(block, "disk");
    EXPECT_TRUE(decoded && *decoded == good);
}

TEST_F(ZbcOrder, RefusesSealedRecordsThatCannotBe) {
    const std::vector<Record> bad{{.written = kZone + 512},
                                  {.durable = kZone + 512},
                                  {.written = 100},
                                  {.written = ~std::uint64_t{511}},
                                  {.opened = static_cast<Opened>(3)}};
    std::array<std::byte, kRecordSize> bytes{};
    for (std::size_t i = 0; i < bad.size(); ++i) {
        encode_record(bad[i], bytes);
        EXPECT_FALSE(decode_record(bytes, kZone, 512)) << i;
    }
    const Record full{.written = kZone, .durable = 512, .opened = Opened::kExplicitly};
    encode_record(full, bytes);
    EXPECT_TRUE(decode_record(bytes, kZone, 512) == full);
}

// An orderly reboot: the successor is of another boot.
TEST_F(ZbcOrder, AnOrderlyStopKeepsWhatWasWrittenAndWhatIsOpen) {
    EXPECT_EQ(end_of(start_write(2, 0)), "good");
    EXPECT_EQ(end_of(start_action(ZoneAction::kOpen, 3)), "good");
    host_.handing_over = true;
    device_.reset();
    open("", true);
    EXPECT_EQ(conditions(), "eeiEeeee");
    device_.reset();
    host_.handing_over = false;
    forget_boot();
    open();
    EXPECT_EQ(conditions(), "eeceeeee");
    EXPECT_EQ(written(2), kBlock);
}

// Only a failed flush leaves unknown what is durable.
TEST_F(ZbcOrder, ATableThatCouldNotBeStoredOnceIsStoredWhenItIsClosed) {
    EXPECT_EQ(end_of(start_write(2, 0)), "good");
    host_.faults["write 8192"] = EIO;
    EXPECT_EQ(end_of(start_flush()), "error 5");
    host_.faults.clear();
    device_.reset();
    forget_boot();
    open();
    EXPECT_EQ(written(2), kBlock);
}

TEST_F(ZbcOrder, AfterAFailedFlushNothingMoreBecomesDurable) {
    EXPECT_EQ(end_of(start_write(2, 0)), "good");
    host_.faults["flush"] = EIO;
    EXPECT_EQ(end_of(start_flush()), "error 5");
    device_.reset();
    forget_boot();
    open();
    EXPECT_EQ(written(2), 0U);
}

// The data, then the write pointer that says that it is there; a flush behind each.
TEST_F(ZbcOrder, AFlushStoresWritePointersBehindTheirData) {
    EXPECT_EQ(end_of(start_write(2, 0)), "good");
    EXPECT_THAT(host_.calls, ElementsAre("write 1179648", "write 8192"));
    host_.calls.clear();
    EXPECT_EQ(end_of(start_flush()), "good");
    EXPECT_THAT(host_.calls, ElementsAre("flush", "write 8192", "flush"));
    host_.calls.clear();
    EXPECT_EQ(end_of(start_flush()), "good");
    EXPECT_THAT(host_.calls, ElementsAre("flush"));
    host_.calls.clear();
    EXPECT_EQ(end_of(start_action(ZoneAction::kReset, 2)), "good");
    EXPECT_THAT(host_.calls, ElementsAre("flush", "write 8192", "flush", "discard 1179648"));
}

}  // namespace
}  // namespace lunkit::zbc
