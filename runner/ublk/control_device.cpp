// SPDX-License-Identifier: Apache-2.0
#include "ublk/control_device.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "core/kernel_module.hpp"
#include "lunkit/try.hpp"

namespace lunkit::ublk {

namespace {

constexpr const char* kModule = "ublk_drv";

std::unexpected<Error> no_ublk(const std::string& why) {
    return failure(ENODEV, fmt::format("this kernel has no ublk ({}): {}; Debian 12 has it in the "
                                       "package linux-image-6.12-amd64 of bookworm-security",
                                       kModule, why));
}

std::span<const std::byte> bytes_of(const abi::ControlCommand& command) {
    return std::as_bytes(std::span(&command, 1));
}

}  // namespace

bool is_recoverable(const abi::DeviceInfo& info) {
    constexpr std::uint64_t kNeeded = abi::kFlagUserRecovery | abi::kFlagUserRecoveryReissue;
    return (info.flags & kNeeded) == kNeeded;
}

Status find_ublk() {
    if (::access(ControlDevice::kNode, F_OK) == 0) {
        return {};
    }
    const Status found = core::find_kernel_module(kModule);
    return found ? found : no_ublk(found.error().what);
}

Result<ControlDevice> ControlDevice::open(Send send) {
    if (::access(kNode, F_OK) != 0) {
        if (const Status loaded = core::load_kernel_module(kModule); !loaded) {
            return no_ublk(loaded.error().what);
        }
    }
    return ControlDevice(std::move(send));
}

Status ControlDevice::command(std::uint32_t op, std::uint32_t dev_id, std::uint64_t data,
                              std::span<std::byte> buffer, const char* what) const {
    abi::ControlCommand command{};
    command.dev_id = dev_id;
    command.queue_id = abi::kNoQueue;
    command.len = static_cast<std::uint16_t>(buffer.size());
    command.addr = buffer.empty() ? 0 : reinterpret_cast<std::uintptr_t>(buffer.data());
    command.data = data;
    TRY(const int answer, send_(op, bytes_of(command)));
    if (answer < 0) {
        return failure(-answer,
                       fmt::format("ublk: {}: {}", what, std::generic_category().message(-answer)));
    }
    return {};
}

Result<std::uint64_t> ControlDevice::features() const {
    std::uint64_t found = 0;
    CHECK(command(abi::kGetFeatures, abi::kAnyDevice, 0,
                  std::as_writable_bytes(std::span(&found, 1)), "asking for features"));
    return found;
}

Result<abi::DeviceInfo> ControlDevice::add(abi::DeviceInfo wanted) const {
    const std::uint32_t dev_id = wanted.dev_id;
    const Status added = command(abi::kAddDev, dev_id, 0,
                                 std::as_writable_bytes(std::span(&wanted, 1)), "adding a device");
    if (!added && added.error().code == EEXIST) {
        return failure(EEXIST, fmt::format("there is a ublk device {} already", dev_id));
    }
    CHECK(added);
    return wanted;
}

Result<abi::DeviceInfo> ControlDevice::info(std::uint32_t dev_id) const {
    abi::DeviceInfo found{};
    CHECK(command(abi::kGetDevInfo, dev_id, 0, std::as_writable_bytes(std::span(&found, 1)),
                  "asking for a device"));
    return found;
}

Status ControlDevice::set_params(std::uint32_t dev_id, const abi::Params& params) const {
    abi::Params given = params;
    return command(abi::kSetParams, dev_id, 0, std::as_writable_bytes(std::span(&given, 1)),
                   "setting the limits of a device");
}

Status ControlDevice::start(std::uint32_t dev_id, pid_t server) const {
    return command(abi::kStartDev, dev_id, static_cast<std::uint64_t>(server), {},
                   "starting a device");
}

Status ControlDevice::start_recovery(std::uint32_t dev_id) const {
    return command(abi::kStartUserRecovery, dev_id, 0, {}, "starting the recovery of a device");
}

Status ControlDevice::end_recovery(std::uint32_t dev_id, pid_t server) const {
    return command(abi::kEndUserRecovery, dev_id, static_cast<std::uint64_t>(server), {},
                   "ending the recovery of a device");
}

Status ControlDevice::update_size(std::uint32_t dev_id, std::uint64_t size) const {
    return command(abi::kUpdateSize, dev_id, size >> abi::kSectorShift, {},
                   "changing the size of a device");
}

Status ControlDevice::stop(std::uint32_t dev_id) const {
    return command(abi::kStopDev, dev_id, 0, {}, "stopping a device");
}

Status ControlDevice::remove(std::uint32_t dev_id) const {
    return command(abi::kDelDev, dev_id, 0, {}, "removing a device");
}

}  // namespace lunkit::ublk
