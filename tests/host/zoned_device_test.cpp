// SPDX-License-Identifier: Apache-2.0
// PluginDevice: the zones of a handler that has some.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "host/plugin_device.hpp"
#include "support/fake_queue.hpp"
#include "support/run_task.hpp"

namespace lunkit::host {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

constexpr std::uint64_t kZone = 1 << 16;
constexpr std::uint64_t kSize = 4 * kZone;

/// What the handler under test says and was asked. One device at a time.
struct Disk {
    lunkit_device_info info{};
    std::vector<lunkit_zone> zones;
    std::vector<std::string> calls;
    int answer = 0;
};
Disk* disk = nullptr;  // NOLINT: the handler's "storage"

int open_disk(const lunkit_open* request, void** device) {
    const std::uint32_t size = request->info->struct_size;
    *request->info = disk->info;
    request->info->struct_size = size;
    *device = disk;
    return 0;
}
void close_disk(void* /*device*/) {}
int transfer(void* /*device*/, lunkit_queue* /*queue*/, const lunkit_io* /*io*/,
             lunkit_completion* completion) {
    completion->error_class = LUNKIT_ERROR_ZONE;
    return disk->answer;
}
template <char Name>
int change(void* device, lunkit_queue* queue, const lunkit_io* io, lunkit_completion* completion) {
    disk->calls.push_back(std::string(1, Name) + " " + std::to_string(io->length));
    return transfer(device, queue, io, completion);
}
int report_zones(void* /*device*/, lunkit_queue* /*queue*/, const lunkit_io* io,
                 lunkit_zone_list* list, lunkit_completion* /*completion*/) {
    disk->calls.push_back("report " + std::to_string(io->offset));
    list->count = static_cast<std::uint32_t>(disk->zones.size());
    std::copy_n(disk->zones.begin(), std::min<std::size_t>(list->count, list->capacity),
                list->zones);
    return LUNKIT_DONE;
}
template <char Name>
int manage(void* /*device*/, lunkit_queue* /*queue*/, const lunkit_io* io,
           lunkit_completion* completion) {
    disk->calls.push_back(std::string(1, Name) + " " + std::to_string(io->offset / kZone) + "+" +
                          std::to_string(io->length / kZone));
    completion->error_class = LUNKIT_ERROR_ZONE;
    return disk->answer;
}

lunkit_handler zoned() {
    lunkit_handler handler{};
    handler.struct_size = sizeof handler;
    handler.abi_version = LUNKIT_ABI_VERSION;
    handler.name = "test";
    handler.open = open_disk;
    handler.close = close_disk;
    handler.read = transfer;
    handler.write = change<'w'>;
    handler.write_zeroes = change<'z'>;
    handler.report_zones = report_zones;
    handler.open_zones = manage<'o'>;
    handler.close_zones = manage<'c'>;
    handler.finish_zones = manage<'f'>;
    handler.reset_zones = manage<'r'>;
    return handler;
}

}  // namespace

class ZonedDeviceTest : public ::testing::Test {
  protected:
    ZonedDeviceTest() {
        disk = &disk_;
        disk_.info.size = kSize;
        disk_.info.device_type = LUNKIT_DEVICE_TYPE_ZONED;
        disk_.info.zone_size = kZone;
        disk_.info.max_open_zones = 3;
        disk_.info.flags = LUNKIT_DEVICE_PARALLEL;
        for (std::uint64_t at = 0; at < kSize; at += kZone) {
            disk_.zones.push_back(
                {at, kZone, at, LUNKIT_ZONE_SEQUENTIAL_WRITE_REQUIRED, LUNKIT_ZONE_EMPTY, {}});
        }
    }
    ~ZonedDeviceTest() override { device_.reset(); }
    ZonedDeviceTest(const ZonedDeviceTest&) = delete;
    ZonedDeviceTest& operator=(const ZonedDeviceTest&) = delete;
    ZonedDeviceTest(ZonedDeviceTest&&) = delete;
    ZonedDeviceTest& operator=(ZonedDeviceTest&&) = delete;

    std::string try_open(const lunkit_handler& handler, bool zones = true, bool read_only = false) {
        handler_ = handler;
        OpenDevice request;
        request.name = "disk";
        request.zones = zones;
        request.read_only = read_only;
        auto opened = PluginDevice::open(handler_, "", std::move(request));
        if (!opened) {
            return opened.error().what;
        }
        device_ = std::move(*opened);
        return "";
    }
    Status manage_zones(ZoneAction action, std::uint64_t offset, std::uint64_t length) {
        const IoRequest io(offset, length);
        return test::run_task(queue_, device_->manage_zones(queue_, action, io));
    }
    int report(std::uint64_t offset, std::size_t room = 8) {
        std::vector<Zone> zones(room);
        const IoRequest io(offset, kSize - offset);
        const auto count =
            test::run_task(queue_, device_->report_zones(queue_, io, std::span<Zone>(zones)));
        return count ? static_cast<int>(*count) : -count.error().code;
    }

    Disk disk_;
    lunkit_handler handler_{};
    test::FakeQueue queue_;
    std::unique_ptr<PluginDevice> device_;
};

TEST_F(ZonedDeviceTest, IsWhatItsHandlerSays) {
    ASSERT_EQ(try_open(zoned()), "");
    const DeviceInfo info = device_->info();
    EXPECT_EQ(info.type, DeviceType::kZoned);
    EXPECT_EQ(info.zone_size, kZone);
    EXPECT_EQ(info.max_open_zones, 3U);
    EXPECT_FALSE(info.parallel);  // the order of writes matters
}

TEST_F(ZonedDeviceTest, IsForFrontEndsThatServeZones) {
    EXPECT_EQ(try_open(zoned(), false), "a zoned device can be served as a SCSI LUN only");
}

TEST_F(ZonedDeviceTest, IsRefusedWithoutAllItTakes) {
    lunkit_handler without = zoned();
    without.finish_zones = nullptr;
    EXPECT_THAT(try_open(without), HasSubstr("and not all it takes"));
    without = zoned();
    without.write_zeroes = nullptr;
    EXPECT_THAT(try_open(without), HasSubstr("and not all it takes"));
    disk_.info.zone_size = kZone + 512;
    EXPECT_THAT(try_open(zoned()), HasSubstr("zones of 66048 bytes"));
    disk_.info.zone_size = 0;
    EXPECT_THAT(try_open(zoned()), HasSubstr("zones of 0 bytes"));
}

TEST_F(ZonedDeviceTest, CallsWhatManagesZones) {
    ASSERT_EQ(try_open(zoned()), "");
    EXPECT_TRUE(manage_zones(ZoneAction::kOpen, 0, kZone));
    EXPECT_TRUE(manage_zones(ZoneAction::kClose, kZone, kZone));
    EXPECT_TRUE(manage_zones(ZoneAction::kFinish, 0, 2 * kZone));
    EXPECT_TRUE(manage_zones(ZoneAction::kReset, 3 * kZone, kZone));
    EXPECT_EQ(manage_zones(ZoneAction::kReset, 3 * kZone, 2 * kZone).error().code, ERANGE);
    EXPECT_THAT(disk_.calls, ElementsAre("o 0+1", "c 1+1", "f 0+2", "r 3+1"));
}

// Pieces would share one `progress`, and others could get between them.
TEST_F(ZonedDeviceTest, ItsWritesAreNotSplit) {
    disk_.info.max_transfer = 4096;
    disk_.info.max_write_zeroes = 8192;
    ASSERT_EQ(try_open(zoned()), "");
    std::string bytes(8192, 'x');
    const SingleData data(bytes.data(), bytes.size());
    const IoRequest write(0, data);
    EXPECT_EQ(test::run_task(queue_, device_->write(queue_, write)).error().code, EINVAL);
    const IoRequest zeroes(0, 16384);
    EXPECT_EQ(test::run_task(queue_, device_->write_zeroes(queue_, zeroes)).error().code, EINVAL);
    EXPECT_TRUE(disk_.calls.empty());
    const IoRequest whole(0, 8192);
    EXPECT_TRUE(test::run_task(queue_, device_->write_zeroes(queue_, whole)));
    disk_.answer = -EOPNOTSUPP;  // no reason to write zeros instead
    EXPECT_EQ(test::run_task(queue_, device_->write_zeroes(queue_, whole)).error().code,
              EOPNOTSUPP);
    EXPECT_THAT(disk_.calls, ElementsAre("z 8192", "z 8192"));
    EXPECT_TRUE(test::run_task(queue_, device_->read(queue_, write)).error().code == EOPNOTSUPP);
}

TEST_F(ZonedDeviceTest, PassesOnWhichRuleWasBroken) {
    ASSERT_EQ(try_open(zoned()), "");
    disk_.answer = -ETOOMANYREFS;
    const Status status = manage_zones(ZoneAction::kOpen, 0, kZone);
    EXPECT_EQ(status.error().code, ETOOMANYREFS);
    EXPECT_EQ(status.error().error_class, ErrorClass::kZone);
}

TEST_F(ZonedDeviceTest, ReadOnlyItsZonesAreOnlyReported) {
    ASSERT_EQ(try_open(zoned(), true, true), "");
    EXPECT_EQ(manage_zones(ZoneAction::kReset, 0, kZone).error().code, EROFS);
    EXPECT_EQ(report(0), 4);
}

TEST_F(ZonedDeviceTest, BelievesNoZonesThatCannotBe) {
    ASSERT_EQ(try_open(zoned()), "");
    EXPECT_EQ(report(0), 4);
    EXPECT_EQ(report(kZone - 512), 4);
    EXPECT_EQ(report(kZone), -EIO);  // the first is not of that address
    EXPECT_EQ(report(0, 3), -EIO);   // more than there is room for
    EXPECT_EQ(report(kSize), -EINVAL);
    disk_.zones[2].length = 0;
    EXPECT_EQ(report(0), -EIO);
    disk_.zones[2].length = kZone + 512;
    EXPECT_EQ(report(0), -EIO);
    disk_.zones[2].length = ~std::uint64_t{0};
    EXPECT_EQ(report(0), -EIO);
    disk_.zones.clear();
    EXPECT_EQ(report(0), -EIO);
}

TEST_F(ZonedDeviceTest, OtherDevicesHaveNone) {
    disk_.info.device_type = LUNKIT_DEVICE_TYPE_BLOCK;
    ASSERT_EQ(try_open(zoned()), "");
    EXPECT_EQ(report(0), -EOPNOTSUPP);
    EXPECT_EQ(manage_zones(ZoneAction::kOpen, 0, kZone).error().code, EOPNOTSUPP);
    EXPECT_TRUE(disk_.calls.empty());
}

}  // namespace lunkit::host
