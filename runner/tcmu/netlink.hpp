// SPDX-License-Identifier: Apache-2.0
// The generic netlink family TCM-USER (version 2), through libnl.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lunkit/result.hpp"
#include "tcmu/device_event.hpp"

struct nlmsghdr;

namespace lunkit::tcmu {

namespace genl {
inline constexpr const char* kFamily = "TCM-USER";
inline constexpr const char* kGroup = "config";
// enum tcmu_genl_cmd
inline constexpr std::uint8_t kAddedDevice = 1;
inline constexpr std::uint8_t kRemovedDevice = 2;
inline constexpr std::uint8_t kReconfigDevice = 3;
inline constexpr std::uint8_t kAddedDeviceDone = 4;
inline constexpr std::uint8_t kRemovedDeviceDone = 5;
inline constexpr std::uint8_t kReconfigDeviceDone = 6;
inline constexpr std::uint8_t kSetFeatures = 7;
// enum tcmu_genl_attr
inline constexpr int kAttrDevice = 1;            // string
inline constexpr int kAttrMinor = 2;             // u32
inline constexpr int kAttrDevCfg = 4;            // string
inline constexpr int kAttrDevSize = 5;           // u64
inline constexpr int kAttrWriteCache = 6;        // u8
inline constexpr int kAttrCmdStatus = 7;         // s32
inline constexpr int kAttrDeviceId = 8;          // u32
inline constexpr int kAttrSuppKernCmdReply = 9;  // u8
inline constexpr int kAttrMax = 9;
}  // namespace genl

/// A message of the family as an event. ENOMSG: it is none; EPROTO: it lacks what it must have.
Result<DeviceEvent> parse_event(nlmsghdr* message);

/// Two sockets: one is in the group and only receives, with a large buffer, and errors of delivery
/// reach the sender (NETLINK_BROADCAST_ERROR), so that a lost event fails the user's command
/// instead of leaving it waiting; the other sends, and gets the kernel's verdict at once.
class NetlinkChannel final : public EventChannel {
  public:
    /// The family must exist (module target_core_user); replies need CAP_NET_ADMIN.
    static Result<std::unique_ptr<EventChannel>> open();
    ~NetlinkChannel() override;

    [[nodiscard]] int fd() const override;
    Result<std::vector<DeviceEvent>> receive() override;
    Status answer(DeviceEvent::Kind kind, std::uint32_t device_id, int result) override;
    Status expect_answers(bool wanted) override;

    struct Sockets;

  private:
    explicit NetlinkChannel(std::unique_ptr<Sockets> sockets);
    std::unique_ptr<Sockets> sockets_;
};

}  // namespace lunkit::tcmu
