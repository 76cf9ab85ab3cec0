// SPDX-License-Identifier: Apache-2.0
#include "dm_log/request.hpp"

#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>

namespace lunkit::dm_log {

namespace {

template <typename T>
T take(std::span<const std::byte>& bytes) {
    T value{};
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes = bytes.subspan(sizeof value);
    return value;
}

template <typename T>
void put(std::vector<std::byte>& bytes, const T& value) {
    const auto raw = std::as_bytes(std::span(&value, 1));
    bytes.insert(bytes.end(), raw.begin(), raw.end());
}

constexpr std::size_t kHeaders =
    sizeof(nlmsghdr) + sizeof(abi::ConnectorHeader) + sizeof(abi::UlogRequest);

}  // namespace

std::optional<abi::RequestType> Request::type() const {
    const std::uint32_t type = head.request_type & abi::kRequestMask;
    if (type < static_cast<std::uint32_t>(abi::RequestType::kCtr) ||
        type > static_cast<std::uint32_t>(abi::RequestType::kIsRemoteRecovering)) {
        return std::nullopt;
    }
    return static_cast<abi::RequestType>(type);
}

Answer Answer::text(std::string_view value) {
    Answer answer;
    answer.size_ = std::min(value.size(), answer.room_.size() - 1) + 1;
    std::memcpy(answer.room_.data(), value.data(), answer.size_ - 1);
    return answer;
}

Answer Answer::failed_with_room(int error, std::size_t size) {
    Answer answer = failed(error);
    answer.size_ = std::min(size, answer.room_.size());
    return answer;
}

Result<Request> parse_request(std::span<const std::byte> datagram, Request* sender) {
    if (datagram.size() < kHeaders) {
        return failure(ENOMSG, "a message too short for a request");
    }
    auto rest = datagram;
    const auto netlink = take<nlmsghdr>(rest);
    const auto connector = take<abi::ConnectorHeader>(rest);
    if (connector.idx != abi::kConnectorIdx || connector.val != abi::kConnectorValue) {
        return failure(ENOMSG, "a message of another subsystem");
    }
    Request request;
    request.head = take<abi::UlogRequest>(rest);
    request.head.uuid.back() = '\0';
    // The datagram may be padded: what counts are the lengths inside.
    const std::size_t data_size = request.head.data_size;
    const bool fits = data_size <= rest.size() && data_size <= request.room.size() &&
                      connector.len >= sizeof(abi::UlogRequest) + data_size &&
                      netlink.nlmsg_len >= kHeaders &&
                      netlink.nlmsg_len - sizeof(nlmsghdr) - sizeof connector >= connector.len &&
                      netlink.nlmsg_len <= datagram.size();
    if (!fits) {
        request.head.data_size = 0;
        *sender = request;
        return failure(EBADMSG, "a request whose lengths contradict each other");
    }
    std::memcpy(request.room.data(), rest.data(), data_size);
    return request;
}

void encode_answer(const Request& request, const Answer& answer, std::vector<std::byte>& datagram) {
    const std::size_t data_size = answer.data().size();
    nlmsghdr netlink{};
    netlink.nlmsg_len = static_cast<std::uint32_t>(kHeaders + data_size);
    netlink.nlmsg_type = NLMSG_DONE;
    netlink.nlmsg_seq = request.head.seq;
    abi::ConnectorHeader connector{};
    connector.idx = abi::kConnectorIdx;
    connector.val = abi::kConnectorValue;
    connector.seq = request.head.seq;
    connector.len = static_cast<std::uint16_t>(sizeof(abi::UlogRequest) + data_size);
    abi::UlogRequest head = request.head;
    head.error = answer.error();
    head.data_size = static_cast<std::uint32_t>(data_size);
    datagram.clear();
    put(datagram, netlink);
    put(datagram, connector);
    put(datagram, head);
    datagram.insert(datagram.end(), answer.data().begin(), answer.data().end());
}

}  // namespace lunkit::dm_log
