// SPDX-License-Identifier: Apache-2.0
#include "dm_log/connector.hpp"

#include <fmt/format.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/kernel_module.hpp"
#include "core/system_failure.hpp"
#include "dm_log/abi.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_log {

namespace {

// In the first network name space only.
constexpr const char* kConnectorFile = "/proc/net/connector";
constexpr const char* kModule = "dm_log_userspace";

Status check_capability(unsigned capability, const char* name) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) != 0) {
        return core::system_failure("cannot ask for capabilities");
    }
    if ((sets[capability / 32].effective & 1U << capability % 32) == 0) {
        return failure(EPERM, fmt::format("serving dirty logs needs {}", name));
    }
    return {};
}

Status find_dm_log() {
    if (::access(kConnectorFile, F_OK) != 0) {
        return failure(ENODEV, fmt::format("no dirty logs of device-mapper are served: this kernel "
                                           "or network name space has no {}",
                                           kConnectorFile));
    }
    if (const Status found = core::find_kernel_module(kModule); !found) {
        return failure(ENODEV, fmt::format("no dirty logs of device-mapper are served: {}: {}",
                                           kModule, found.error().what));
    }
    return {};
}

}  // namespace

Result<Connector> Connector::open() {
    CHECK(find_dm_log());
    // Without the second the kernel would wait in vain for answers that it drops.
    CHECK(check_capability(CAP_NET_ADMIN, "CAP_NET_ADMIN"));
    CHECK(check_capability(CAP_SYS_ADMIN, "CAP_SYS_ADMIN"));
    UniqueFd socket(
        ::socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_CONNECTOR));
    if (!socket) {
        return core::system_failure("cannot open the netlink connector");
    }
    // The groups of bind() are a mask, and the one of the header's comment joins three others.
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return core::system_failure("cannot bind to the netlink connector");
    }
    const int group = abi::kConnectorIdx;
    if (::setsockopt(socket.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) !=
        0) {
        return core::system_failure("cannot join the group of dm-log-userspace");
    }
    return Connector(std::move(socket));
}

Result<std::span<const std::byte>> Connector::receive(std::span<std::byte> room) const {
    while (true) {
        sockaddr_nl sender{};
        socklen_t sender_size = sizeof sender;
        const ssize_t size = ::recvfrom(socket_.get(), room.data(), room.size(), MSG_DONTWAIT,
                                        reinterpret_cast<sockaddr*>(&sender), &sender_size);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0) {
            return core::system_failure("cannot receive a request");
        }
        if (sender.nl_pid == 0) {  // the kernel; requests of others are none
            return room.first(static_cast<std::size_t>(size));
        }
    }
}

void Connector::leave() const {
    const int group = abi::kConnectorIdx;
    // Fails for a socket that never joined.
    (void)::setsockopt(socket_.get(), SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group);
}

Status Connector::send(std::span<const std::byte> datagram) const {
    while (::send(socket_.get(), datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL) <
           0) {
        if (errno != EINTR) {
            return core::system_failure("cannot send an answer");
        }
    }
    return {};
}

}  // namespace lunkit::dm_log
