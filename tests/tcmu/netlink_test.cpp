// SPDX-License-Identifier: Apache-2.0
#include "tcmu/netlink.hpp"

#include <gtest/gtest.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

namespace lunkit::tcmu {
namespace {

struct FreeMessage {
    void operator()(nl_msg* message) const { nlmsg_free(message); }
};

/// A message as the kernel sends it: DEVICE, MINOR and DEVICE_ID, then what `more` adds.
std::unique_ptr<nl_msg, FreeMessage> event(std::uint8_t command,
                                           const std::function<void(nl_msg*)>& more = {}) {
    std::unique_ptr<nl_msg, FreeMessage> message(nlmsg_alloc());
    genlmsg_put(message.get(), 0, 0, 30, 0, 0, command, 2);
    nla_put_string(message.get(), genl::kAttrDevice, "tcm-user/0/disk/ram/x");
    nla_put_u32(message.get(), genl::kAttrMinor, 3);
    nla_put_u32(message.get(), genl::kAttrDeviceId, 17);
    if (more) {
        more(message.get());
    }
    return message;
}

TEST(ParseEvent, Added) {
    const auto message = event(genl::kAddedDevice);
    const Result<DeviceEvent> parsed = parse_event(nlmsg_hdr(message.get()));
    ASSERT_TRUE(parsed.has_value()) << parsed.error().what;
    EXPECT_EQ(parsed->kind, DeviceEvent::Kind::kAdded);
    EXPECT_EQ(parsed->name, "tcm-user/0/disk/ram/x");
    EXPECT_EQ(parsed->minor, 3U);
    EXPECT_EQ(parsed->device_id, 17U);
}

TEST(ParseEvent, Removed) {
    const auto message = event(genl::kRemovedDevice);
    EXPECT_EQ(parse_event(nlmsg_hdr(message.get()))->kind, DeviceEvent::Kind::kRemoved);
}

TEST(ParseEvent, NewSize) {
    const auto message = event(genl::kReconfigDevice,
                               [](nl_msg* m) { nla_put_u64(m, genl::kAttrDevSize, 1ULL << 40); });
    const Result<DeviceEvent> parsed = parse_event(nlmsg_hdr(message.get()));
    EXPECT_EQ(std::get<DeviceEvent::NewSize>(parsed->change).bytes, 1ULL << 40);
}

TEST(ParseEvent, NewConfig) {
    const auto message = event(genl::kReconfigDevice, [](nl_msg* m) {
        nla_put_string(m, genl::kAttrDevCfg, "file//with blank");
    });
    const Result<DeviceEvent> parsed = parse_event(nlmsg_hdr(message.get()));
    EXPECT_EQ(std::get<DeviceEvent::NewConfig>(parsed->change).config, "file//with blank");
}

TEST(ParseEvent, NewWriteCache) {
    const auto message =
        event(genl::kReconfigDevice, [](nl_msg* m) { nla_put_u8(m, genl::kAttrWriteCache, 1); });
    const Result<DeviceEvent> parsed = parse_event(nlmsg_hdr(message.get()));
    EXPECT_TRUE(std::get<DeviceEvent::NewWriteCache>(parsed->change).enabled);
}

TEST(ParseEvent, ReconfigOfSomethingUnknown) {
    const auto message = event(genl::kReconfigDevice);
    const Result<DeviceEvent> parsed = parse_event(nlmsg_hdr(message.get()));
    EXPECT_TRUE(std::holds_alternative<std::monostate>(parsed->change));
}

TEST(ParseEvent, OldKernelsGiveNoDeviceId) {
    std::unique_ptr<nl_msg, FreeMessage> message(nlmsg_alloc());
    genlmsg_put(message.get(), 0, 0, 30, 0, 0, genl::kAddedDevice, 1);
    nla_put_string(message.get(), genl::kAttrDevice, "tcm-user/0/disk/ram/x");
    nla_put_u32(message.get(), genl::kAttrMinor, 3);
    const Result<DeviceEvent> parsed = parse_event(nlmsg_hdr(message.get()));
    ASSERT_TRUE(parsed.has_value());
    EXPECT_FALSE(parsed->device_id.has_value());
}

TEST(ParseEvent, AnswersOfOthersAreNoEvents) {
    const auto message = event(genl::kAddedDeviceDone);
    EXPECT_EQ(parse_event(nlmsg_hdr(message.get())).error().code, ENOMSG);
}

TEST(ParseEvent, WithoutANameIsRefused) {
    std::unique_ptr<nl_msg, FreeMessage> message(nlmsg_alloc());
    genlmsg_put(message.get(), 0, 0, 30, 0, 0, genl::kAddedDevice, 2);
    nla_put_u32(message.get(), genl::kAttrMinor, 3);
    EXPECT_EQ(parse_event(nlmsg_hdr(message.get())).error().code, EPROTO);
}

TEST(ParseEvent, WithoutAMinorIsRefused) {
    std::unique_ptr<nl_msg, FreeMessage> message(nlmsg_alloc());
    genlmsg_put(message.get(), 0, 0, 30, 0, 0, genl::kAddedDevice, 2);
    nla_put_string(message.get(), genl::kAttrDevice, "tcm-user/0/disk/ram/x");
    EXPECT_EQ(parse_event(nlmsg_hdr(message.get())).error().code, EPROTO);
}

TEST(ParseEvent, AttributeOfTheWrongSizeIsRefused) {
    std::unique_ptr<nl_msg, FreeMessage> message(nlmsg_alloc());
    genlmsg_put(message.get(), 0, 0, 30, 0, 0, genl::kAddedDevice, 2);
    nla_put_string(message.get(), genl::kAttrDevice, "tcm-user/0/disk/ram/x");
    nla_put_u8(message.get(), genl::kAttrMinor, 3);
    EXPECT_FALSE(parse_event(nlmsg_hdr(message.get())).has_value());
}

TEST(ParseEvent, MessageWithoutAHeaderIsRefused) {
    std::unique_ptr<nl_msg, FreeMessage> message(nlmsg_alloc());
    EXPECT_FALSE(parse_event(nlmsg_hdr(message.get())).has_value());
}

}  // namespace
}  // namespace lunkit::tcmu
