// SPDX-License-Identifier: Apache-2.0
#include "tcmu/configfs.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "support/fake_kernel_tree.hpp"

namespace lunkit::tcmu {
namespace {

using File = ConfigfsDevice::File;
using test::FakeKernelTree;

class ConfigfsTest : public testing::Test {
  protected:
    ConfigfsTest() { tree.add_configfs("user_3/disk", 42, 1 << 20, true); }
    ConfigfsDevice open() {
        return *ConfigfsDevice::open(tree.paths, {.hba = 3, .device = "disk", .config = {}});
    }
    std::string file(const std::string& name) { return tree.folder("user_3/disk") + "/" + name; }
    FakeKernelTree tree;
};

TEST_F(ConfigfsTest, DeviceIsFoundByItsName) {
    EXPECT_EQ(*open().read_number(File::kHwMaxSectors), 128U);
}

TEST_F(ConfigfsTest, MissingDeviceIsAnError) {
    const auto opened =
        ConfigfsDevice::open(tree.paths, {.hba = 4, .device = "disk", .config = {}});
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code, ENOENT);
}

TEST_F(ConfigfsTest, AttributesAreReadAnewEachTime) {
    const ConfigfsDevice device = open();
    EXPECT_EQ(*device.read(File::kUnitSerial), "T10 VPD Unit Serial Number: ");
    FakeKernelTree::put(file("wwn/vpd_unit_serial"), "T10 VPD Unit Serial Number: abc\n");
    EXPECT_EQ(*device.read(File::kUnitSerial), "T10 VPD Unit Serial Number: abc");
}

TEST_F(ConfigfsTest, NothingIsLookedUpAfterOpening) {
    const ConfigfsDevice device = open();
    std::filesystem::rename(tree.folder("user_3"), tree.folder("elsewhere"));
    EXPECT_TRUE(device.read(File::kInfo).has_value());
    EXPECT_TRUE(device.write(File::kControl, "dev_size=1").has_value());
}

TEST_F(ConfigfsTest, OlderKernelsLackFiles) {
    std::filesystem::remove_all(file("action"));
    const ConfigfsDevice device = open();
    EXPECT_FALSE(device.has(File::kResetRing));
    EXPECT_EQ(device.read(File::kResetRing).error().code, ENOENT);
    EXPECT_FALSE(*device.unblock());
}

TEST_F(ConfigfsTest, FileThatEveryKernelHasMustBeThere) {
    std::filesystem::remove(file("info"));
    EXPECT_FALSE(
        ConfigfsDevice::open(tree.paths, {.hba = 3, .device = "disk", .config = {}}).has_value());
}

TEST_F(ConfigfsTest, EnabledOrNot) {
    EXPECT_TRUE(*open().is_enabled());
    FakeKernelTree::put(file("enable"), "0\n");
    EXPECT_FALSE(*open().is_enabled());
}

TEST_F(ConfigfsTest, DeviceIdIsTheStatisticsIndex) {
    EXPECT_EQ(*open().device_id(), 42U);
}

TEST_F(ConfigfsTest, IdentityIsWhatTheUserWrote) {
    FakeKernelTree::put(file("wwn/vpd_unit_serial"), "T10 VPD Unit Serial Number: 11-22\n");
    FakeKernelTree::put(file("wwn/product_id"), "my disk\n");
    FakeKernelTree::put(file("wwn/company_id"), "0xabcdef\n");
    const scsi::Identity identity = open().identity();
    EXPECT_EQ(identity.serial, "11-22");
    EXPECT_EQ(identity.vendor, "LIO-ORG");
    EXPECT_EQ(identity.product, "my disk");
    EXPECT_EQ(identity.company_id, 0xabcdefU);
}

TEST_F(ConfigfsTest, IdentityHasDefaults) {
    const scsi::Identity identity = open().identity();
    EXPECT_EQ(identity.serial, "");
    EXPECT_EQ(identity.product, scsi::Identity{}.product);
    EXPECT_EQ(identity.company_id, 0x001405U);
}

TEST_F(ConfigfsTest, SizeGoesThroughControl) {
    ASSERT_TRUE(open().write_size(4096).has_value());
    EXPECT_EQ(FakeKernelTree::get(file("control")), "dev_size=4096");
}

TEST_F(ConfigfsTest, RingIsResetWhileTheDeviceIsBlocked) {
    ASSERT_TRUE(open().reset_ring().has_value());
    EXPECT_EQ(FakeKernelTree::get(file("action/reset_ring")), "1");
    EXPECT_EQ(FakeKernelTree::get(file("action/block_dev"))[0], '0');
}

TEST_F(ConfigfsTest, BlockLeftBehindIsUndone) {
    EXPECT_FALSE(*open().unblock());
    FakeKernelTree::put(file("action/block_dev"), "blocked\n");
    EXPECT_TRUE(*open().unblock());
    EXPECT_EQ(FakeKernelTree::get(file("action/block_dev"))[0], '0');
}

TEST_F(ConfigfsTest, NumbersThatAreNoneAreErrors) {
    FakeKernelTree::put(file("attrib/hw_block_size"), "51x\n");
    EXPECT_EQ(open().read_number(File::kHwBlockSize).error().code, EPROTO);
}

TEST_F(ConfigfsTest, ReservationsAreWhatTheKernelTells) {
    const auto says = [this](const std::string& text) {
        FakeKernelTree::put(file("pr/res_holder"), text);
        return open().is_reserved();
    };
    for (const char* const text : {"No SPC-3 Reservation holder\n", "No SPC-2 Reservation holder\n",
                                   "Passthrough\n", "SPC_RESERVATIONS_DISABLED\n"}) {
        EXPECT_FALSE(says(text)) << text;
    }
    for (const char* const text : {"SPC-3 Reservation: iSCSI Initiator: iqn.x\n",
                                   "SPC-2 Reservation: iSCSI Initiator: iqn.x\n", "", "new\n"}) {
        EXPECT_TRUE(says(text)) << text;
    }
}

TEST(DeviceInfoText, IsParsedFromTheRight) {
    const auto info = DeviceInfoText::parse(
        "Config: file//a Size: 5 b Size: 1048576 MaxDataAreaMB: 64 DataPagesPerBlk: 1");
    ASSERT_TRUE(info.has_value());
    EXPECT_EQ(info->size, 1048576U);
    EXPECT_EQ(info->max_data_area_mb, 64U);
}

TEST(DeviceInfoText, OlderKernelsTellNoDataArea) {
    EXPECT_EQ(DeviceInfoText::parse("Config: ram/x Size: 512")->max_data_area_mb, 0U);
}

TEST(DeviceInfoText, WithoutASizeIsAnError) {
    EXPECT_FALSE(DeviceInfoText::parse("Config: ram/x").has_value());
    EXPECT_FALSE(DeviceInfoText::parse("Config: ram/x Size: many").has_value());
}

TEST(WriteParameter, SaysWhatFails) {
    FakeKernelTree tree;
    EXPECT_TRUE(write_parameter(tree.paths, "block_netlink", "1").has_value());
    EXPECT_EQ(FakeKernelTree::get(tree.paths.parameters + "/block_netlink"), "1");
    EXPECT_EQ(write_parameter(tree.paths, "nonsense", "1").error().code, ENOENT);
}

}  // namespace
}  // namespace lunkit::tcmu
