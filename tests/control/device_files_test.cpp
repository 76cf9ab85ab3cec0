// SPDX-License-Identifier: Apache-2.0
#include "control/device_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/child_process.hpp"

namespace lunkit::control {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

DeclaredDevices parsed(const std::string& text) {
    DeclaredDevices found;
    parse_device_file(text, "f", found);
    return found;
}

KeyFileErrors errors_of(const std::string& text) {
    DeclaredDevices found = parsed(text);
    EXPECT_THAT(found.devices, IsEmpty());
    return std::move(found.errors);
}

TEST(DeviceFile, EveryKeyReachesItsField) {
    const DeclaredDevices found = parsed(
        "# a disk\n[ublk]\nconfig=file//srv/a;direct=on\nnumber=3\nsize=10G\nblock_size=4096\n"
        "read_only=yes\nqueues=2\n");
    EXPECT_THAT(found.errors, IsEmpty());
    ASSERT_EQ(found.devices.size(), 1U);
    EXPECT_EQ(found.devices[0].file, "f");
    EXPECT_EQ(found.devices[0].front_end, "ublk");
    EXPECT_EQ(found.devices[0].wanted, (core::NewDevice{.config = "file//srv/a;direct=on",
                                                        .number = 3,
                                                        .size = std::uint64_t{10} << 30U,
                                                        .block_size = 4096,
                                                        .read_only = true,
                                                        .queues = 2}));
}

TEST(DeviceFile, EveryKeyOfADmUserTargetReachesItsField) {
    const DeclaredDevices found = parsed(
        "[dm-user]\nconfig=file//srv/a\nname=a/b\nsize=1M\nstart=2048\nread_only=yes\n"
        "channels=8\n");
    EXPECT_THAT(found.errors, IsEmpty());
    ASSERT_EQ(found.devices.size(), 1U);
    EXPECT_EQ(found.devices[0].front_end, "dm-user");
    EXPECT_EQ(found.devices[0].awaited_node, "/dev/dm-user/a/b");
    EXPECT_EQ(found.devices[0].wanted, (core::NewDevice{.config = "file//srv/a",
                                                        .number = {},
                                                        .size = std::uint64_t{1} << 20U,
                                                        .read_only = true,
                                                        .name = "a/b",
                                                        .start_sectors512 = 2048,
                                                        .channels = 8}));
}

TEST(DeviceFile, ErrorsOfDmUserTargetsAreToldWithTheirLines) {
    EXPECT_THAT(errors_of("[dm-user]\nconfig=ram/a\n"),
                ElementsAre("f:1: [dm-user] lacks its name"));
    EXPECT_THAT(errors_of("[dm-user]\nconfig=ram/a\nname=/dev/sda\nstart=-1\nchannels=65\n"
                          "number=1\n"),
                ElementsAre(HasSubstr("f:3: name: '/dev/sda' is no control node"),
                            HasSubstr("f:4: start: '-1' is not a number from 0 to"),
                            "f:5: channels: '65' is not a number from 1 to 64",
                            "f:6: unknown key 'number' in [dm-user]"));
    DeclaredDevices found = parsed("[dm-user]\nconfig=ram/a\nname=a\n");
    parse_device_file("[dm-user]\nconfig=ram/b\nname=a\n", "g", found);
    EXPECT_THAT(found.errors, ElementsAre("g:3: name: f has the same"));
}

TEST(DeviceFile, WhatNeedNotBeGivenHasItsDefault) {
    const DeclaredDevices found = parsed("[ublk]\nconfig=null/\nnumber=0\n");
    ASSERT_EQ(found.devices.size(), 1U);
    EXPECT_EQ(found.devices[0].wanted, (core::NewDevice{.config = "null/", .number = 0}));
}

TEST(DeviceFile, FileWithoutGroupsDeclaresNothing) {
    EXPECT_THAT(errors_of("# nothing yet\n"), IsEmpty());
}

TEST(DeviceFile, WhatMustBeGivenIsMissedWithTheLineOfTheGroup) {
    EXPECT_THAT(errors_of("\n[ublk]\nconfig=ram/a\n"), ElementsAre("f:2: [ublk] lacks its number"));
    EXPECT_THAT(errors_of("[ublk]\nnumber=1"), ElementsAre("f:1: [ublk] lacks its config"));
}

TEST(DeviceFile, ErrorsOfValuesAreToldWithTheirLines) {
    EXPECT_THAT(
        errors_of("[ublk]\nconfig=disk\nnumber=1048576\nsize=ten\nblock_size=513\nread_only=1\n"
                  "colour=red\n[tape]\n"),
        ElementsAre("f:2: config: 'disk' is not <handler>/<path or name>[;key=value]...",
                    "f:3: number: '1048576' is not a number from 0 to 1048575",
                    "f:4: size: 'ten' is no size: bytes, or with K, M, G or T",
                    "f:5: block_size: '513' is none of 512, 1024, 2048, 4096",
                    HasSubstr("f:6: read_only: '1' is none of yes, no"),
                    "f:7: unknown key 'colour' in [ublk]", "f:8: unknown group [tape]"));
}

TEST(DeviceFile, SizesThatOverflowAreErrors) {
    for (const char* const size :
         {"0", "9223372036854775808", "8388608T", "K", "-1", "1 G", "1GB"}) {
        EXPECT_THAT(errors_of("[ublk]\nconfig=ram/a\nnumber=1\nsize=" + std::string(size) + "\n"),
                    ElementsAre(HasSubstr("f:4: size: ")))
            << size;
    }
    EXPECT_EQ(parsed("[ublk]\nconfig=ram/a\nnumber=1\nsize=8388607T\n").devices.at(0).wanted.size,
              std::uint64_t{8388607} << 40U);
}

TEST(DeviceFile, NumberOfAnEarlierFileIsAnErrorOfTheLater) {
    DeclaredDevices found = parsed("[ublk]\nconfig=ram/a\nnumber=7\n");
    parse_device_file("[ublk]\nconfig=ram/b\nnumber=07\n", "g", found);
    parse_device_file("[ublk]\nconfig=ram/a\nnumber=8\n", "h", found);
    EXPECT_THAT(found.errors, ElementsAre("g:3: number: f has the same"));
    EXPECT_EQ(found.devices.size(), 2U);
}

class DeviceFolderFilesTest : public testing::Test {
  protected:
    void write(const std::string& name, const std::string& text) {
        std::ofstream(folder_ / name) << text;
    }
    const test::TemporaryFolder folder_;
};

TEST_F(DeviceFolderFilesTest, FilesAreReadInTheOrderOfTheirNamesAndOthersAreNot) {
    write("20.conf", "[ublk]\nconfig=ram/b\nnumber=2\n");
    write("10.conf", "[ublk]\nconfig=ram/a\nnumber=1\n");
    write(".30.conf", "broken");
    write("40.conf~", "broken");
    std::filesystem::create_directory(folder_ / "50.conf");
    const DeclaredDevices found = read_device_files(folder_.path());
    EXPECT_THAT(found.errors, IsEmpty());
    ASSERT_EQ(found.devices.size(), 2U);
    EXPECT_EQ(found.devices[0].file, folder_ / "10.conf");
    EXPECT_EQ(found.devices[1].wanted.config, "ram/b");
}

TEST_F(DeviceFolderFilesTest, BrokenFileKeepsNoOtherAway) {
    write("10.conf", "[ublk]\nconfig=ram/a\n");
    write("20.conf", "[ublk]\nconfig=ram/b\nnumber=2\n");
    ASSERT_EQ(::mkfifo((folder_ / "30.conf").c_str(), 0600), 0);
    const DeclaredDevices found = read_device_files(folder_.path());
    EXPECT_THAT(found.errors, ElementsAre(folder_ / "10.conf:1: [ublk] lacks its number",
                                          HasSubstr("30.conf: not a regular file")));
    EXPECT_EQ(found.devices.size(), 1U);
}

TEST_F(DeviceFolderFilesTest, MissingFolderHasNoneAndAFileInItsPlaceIsAnError) {
    EXPECT_THAT(read_device_files(folder_ / "missing").errors, IsEmpty());
    write("devices.d", "");
    EXPECT_THAT(read_device_files(folder_ / "devices.d").errors,
                ElementsAre(HasSubstr("devices.d: Not a directory")));
}

}  // namespace
}  // namespace lunkit::control
