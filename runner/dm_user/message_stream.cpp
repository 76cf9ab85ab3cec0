// SPDX-License-Identifier: Apache-2.0
#include "dm_user/message_stream.hpp"

#include <algorithm>
#include <cerrno>

#include "lunkit/try.hpp"

namespace lunkit::dm_user {

namespace {

std::unexpected<Error> ended_early() {
    return failure(EIO, "the control node ended in the middle of a message");
}

}  // namespace

Result<std::optional<abi::Message>> MessageStream::next() {
    abi::Message request{};
    const auto bytes = std::as_writable_bytes(std::span(&request, 1));
    const Result<std::size_t> first = channel_.read(bytes);
    if (!first && first.error().code == EINTR) {
        return std::nullopt;
    }
    if (!first) {
        return std::unexpected(first.error());
    }
    if (*first == 0) {
        return ended_early();
    }
    CHECK(read_payload(bytes.subspan(*first)));
    return request;
}

Status MessageStream::read_payload(std::span<std::byte> room) {
    while (!room.empty()) {
        const Result<std::size_t> got = channel_.read(room);
        if (!got && got.error().code == EINTR) {
            continue;  // what has begun is ended
        }
        if (!got) {
            return std::unexpected(got.error());
        }
        if (*got == 0) {
            return ended_early();
        }
        room = room.subspan(*got);
    }
    return {};
}

Status MessageStream::answer(const abi::Message& request, abi::Answer type,
                             std::span<const std::byte> payload) {
    abi::Message header = request;
    header.type = static_cast<std::uint64_t>(type);
    return write_all(std::as_bytes(std::span(&header, 1)), payload);
}

Status MessageStream::write_payload(std::span<const std::byte> payload) {
    return write_all({}, payload);
}

/// Never writes nothing, which the kernel takes for a broken answer.
Status MessageStream::write_all(std::span<const std::byte> header,
                                std::span<const std::byte> payload) {
    while (!header.empty() || !payload.empty()) {
        const Result<std::size_t> taken = channel_.write(header, payload);
        if (!taken && taken.error().code == EINTR) {
            continue;
        }
        if (!taken) {
            return std::unexpected(taken.error());
        }
        if (*taken == 0) {
            return ended_early();
        }
        const std::size_t of_header = std::min(*taken, header.size());
        header = header.subspan(of_header);
        payload = payload.subspan(*taken - of_header);
    }
    return {};
}

}  // namespace lunkit::dm_user
