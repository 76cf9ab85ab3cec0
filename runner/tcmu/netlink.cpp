// SPDX-License-Identifier: Apache-2.0
#include "tcmu/netlink.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "core/log.hpp"
#include "lunkit/try.hpp"

namespace lunkit::tcmu {

namespace {

constexpr int kReceiveBuffer = 8 << 20;  // bytes; an event takes less than 1 KiB

struct FreeSocket {
    void operator()(nl_sock* socket) const { nl_socket_free(socket); }
};
using Socket = std::unique_ptr<nl_sock, FreeSocket>;

struct FreeMessage {
    void operator()(nl_msg* message) const { nlmsg_free(message); }
};
using Message = std::unique_ptr<nl_msg, FreeMessage>;

// libnl's numbers as errno; those that matter to somebody.
int errno_of(int nl_error) {
    switch (nl_error < 0 ? -nl_error : nl_error) {
        case NLE_NODEV:
            return ENODEV;
        case NLE_OBJ_NOTFOUND:
            return ENOENT;
        case NLE_PERM:
        case NLE_NOACCESS:
            return EPERM;
        case NLE_OPNOTSUPP:
            return EOPNOTSUPP;
        case NLE_INVAL:
            return EINVAL;
        case NLE_NOMEM:
            return ENOMEM;
        case NLE_BUSY:
            return EBUSY;
        default:
            return EIO;
    }
}

std::unexpected<Error> nl_failure(int nl_error, std::string_view what) {
    return failure(errno_of(nl_error), fmt::format("{}: {}", what, nl_geterror(nl_error)));
}

Result<Socket> connect() {
    Socket socket(nl_socket_alloc());
    if (!socket) {
        return failure(ENOMEM, "no memory for a netlink socket");
    }
    if (const int error = genl_connect(socket.get()); error < 0) {
        return nl_failure(error, "cannot connect to generic netlink");
    }
    return socket;
}

Result<std::string> text_of(nlattr* attribute, std::string_view what) {
    if (attribute == nullptr) {
        return failure(EPROTO, fmt::format("a TCMU event without {}", what));
    }
    return std::string(nla_get_string(attribute));
}

Result<DeviceEvent::Kind> kind_of_command(std::uint8_t command) {
    switch (command) {
        case genl::kAddedDevice:
            return DeviceEvent::Kind::kAdded;
        case genl::kRemovedDevice:
            return DeviceEvent::Kind::kRemoved;
        case genl::kReconfigDevice:
            return DeviceEvent::Kind::kReconfig;
        default:
            return failure(ENOMSG, fmt::format("netlink command {} is no TCMU event", command));
    }
}

std::uint8_t done_command(DeviceEvent::Kind kind) {
    switch (kind) {
        case DeviceEvent::Kind::kAdded:
            return genl::kAddedDeviceDone;
        case DeviceEvent::Kind::kRemoved:
            return genl::kRemovedDeviceDone;
        case DeviceEvent::Kind::kReconfig:
            break;
    }
    return genl::kReconfigDeviceDone;
}

// libnl's callback for each valid message of a datagram.
int take_message(nl_msg* message, void* argument) {
    auto& events = *static_cast<std::vector<DeviceEvent>*>(argument);
    Result<DeviceEvent> event = parse_event(nlmsg_hdr(message));
    if (event) {
        events.push_back(*std::move(event));
    } else if (event.error().code != ENOMSG) {
        core::log(core::LogLevel::kWarning, {}, "{}, ignoring it", event.error().what);
    }
    return NL_OK;
}

}  // namespace

Result<DeviceEvent> parse_event(nlmsghdr* message) {
    static const std::array<nla_policy, genl::kAttrMax + 1> policy_of_events = [] {
        std::array<nla_policy, genl::kAttrMax + 1> policy{};
        policy[genl::kAttrDevice].type = NLA_STRING;
        policy[genl::kAttrMinor].type = NLA_U32;
        policy[genl::kAttrDevCfg].type = NLA_STRING;
        policy[genl::kAttrDevSize].type = NLA_U64;
        policy[genl::kAttrWriteCache].type = NLA_U8;
        policy[genl::kAttrDeviceId].type = NLA_U32;
        return policy;
    }();
    if (genlmsg_valid_hdr(message, 0) == 0) {
        return failure(EPROTO, "a netlink message too short for a TCMU event");
    }
    std::array<nlattr*, genl::kAttrMax + 1> attributes{};
    // The policy is not written to; older libnl takes it without const.
    const int error = genlmsg_parse(message, 0, attributes.data(), genl::kAttrMax,
                                    const_cast<nla_policy*>(policy_of_events.data()));
    if (error < 0) {
        return failure(EPROTO, fmt::format("a malformed TCMU event: {}", nl_geterror(error)));
    }
    DeviceEvent event;
    TRY(event.kind, kind_of_command(genlmsg_hdr(message)->cmd));
    TRY(event.name, text_of(attributes[genl::kAttrDevice], "a device name"));
    if (attributes[genl::kAttrMinor] == nullptr) {
        return failure(EPROTO, fmt::format("a TCMU event for {} without a minor", event.name));
    }
    event.minor = nla_get_u32(attributes[genl::kAttrMinor]);
    if (nlattr* id = attributes[genl::kAttrDeviceId]; id != nullptr) {
        event.device_id = nla_get_u32(id);
    }
    if (event.kind == DeviceEvent::Kind::kReconfig) {
        if (nlattr* config = attributes[genl::kAttrDevCfg]; config != nullptr) {
            event.change = DeviceEvent::NewConfig{nla_get_string(config)};
        } else if (nlattr* size = attributes[genl::kAttrDevSize]; size != nullptr) {
            event.change = DeviceEvent::NewSize{nla_get_u64(size)};
        } else if (nlattr* cache = attributes[genl::kAttrWriteCache]; cache != nullptr) {
            event.change = DeviceEvent::NewWriteCache{nla_get_u8(cache) != 0};
        }
    }
    return event;
}

struct NetlinkChannel::Sockets {
    Socket events;
    Socket requests;
    int family = 0;
};

NetlinkChannel::NetlinkChannel(std::unique_ptr<Sockets> sockets) : sockets_(std::move(sockets)) {}
NetlinkChannel::~NetlinkChannel() = default;

Result<std::unique_ptr<EventChannel>> NetlinkChannel::open() {
    auto sockets = std::make_unique<Sockets>();
    TRY(sockets->requests, connect());
    TRY(sockets->events, connect());
    nl_sock* events = sockets->events.get();
    sockets->family = genl_ctrl_resolve(sockets->requests.get(), genl::kFamily);
    if (sockets->family < 0) {
        return nl_failure(sockets->family, "no netlink family TCM-USER");
    }
    const int group = genl_ctrl_resolve_grp(sockets->requests.get(), genl::kFamily, genl::kGroup);
    if (group < 0) {
        return nl_failure(group, "no netlink group 'config' of TCM-USER");
    }
    nl_socket_disable_seq_check(events);
    const int size = kReceiveBuffer;
    const int on = 1;
    const int fd = nl_socket_get_fd(events);
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0) {
        // Without the privilege: what net.core.rmem_max allows.
        (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (::setsockopt(fd, SOL_NETLINK, NETLINK_BROADCAST_ERROR, &on, sizeof on) != 0) {
        return failure(errno, "cannot set NETLINK_BROADCAST_ERROR");
    }
    if (const int error = nl_socket_set_nonblocking(events); error < 0) {
        return nl_failure(error, "cannot make the netlink socket non-blocking");
    }
    if (const int error = nl_socket_add_membership(events, group); error < 0) {
        return nl_failure(error, "cannot join the netlink group of TCM-USER");
    }
    return std::unique_ptr<EventChannel>(new NetlinkChannel(std::move(sockets)));
}

int NetlinkChannel::fd() const {
    return nl_socket_get_fd(sockets_->events.get());
}

Result<std::vector<DeviceEvent>> NetlinkChannel::receive() {
    std::vector<DeviceEvent> events;
    nl_sock* socket = sockets_->events.get();
    (void)nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, take_message, &events);
    while (true) {
        const int error = nl_recvmsgs_default(socket);
        if (error == -NLE_AGAIN) {
            return events;
        }
        if (error == -NLE_NOMEM) {
            core::log(core::LogLevel::kWarning, {},
                      "the kernel could not deliver all TCMU events; their senders got an error");
        } else if (error < 0 && error != -NLE_INTR) {
            return nl_failure(error, "cannot receive TCMU events");
        }
    }
}

namespace {

Result<Message> make_message(int family, std::uint8_t command) {
    Message message(nlmsg_alloc());
    if (!message || genlmsg_put(message.get(), NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, 0, command,
                                /*version=*/2) == nullptr) {
        return failure(ENOMEM, "no memory for a netlink message");
    }
    return message;
}

Status send(nl_sock* socket, Message message, std::string_view what) {
    // The kernel handles it within the call; the acknowledgement is its verdict.
    if (const int error = nl_send_sync(socket, message.release()); error < 0) {
        return nl_failure(error, what);
    }
    return {};
}

}  // namespace

Status NetlinkChannel::answer(DeviceEvent::Kind kind, std::uint32_t device_id, int result) {
    TRY(Message message, make_message(sockets_->family, done_command(kind)));
    if (nla_put_s32(message.get(), genl::kAttrCmdStatus, result) < 0 ||
        nla_put_u32(message.get(), genl::kAttrDeviceId, device_id) < 0) {
        return failure(ENOMEM, "no memory for a netlink message");
    }
    return send(sockets_->requests.get(), std::move(message), "the answer was refused");
}

Status NetlinkChannel::expect_answers(bool wanted) {
    TRY(Message message, make_message(sockets_->family, genl::kSetFeatures));
    if (nla_put_u8(message.get(), genl::kAttrSuppKernCmdReply, wanted ? 1 : 0) < 0) {
        return failure(ENOMEM, "no memory for a netlink message");
    }
    return send(sockets_->requests.get(), std::move(message),
                "the kernel refuses to wait for answers");
}

}  // namespace lunkit::tcmu
