// SPDX-License-Identifier: Apache-2.0
#include "control/trace_streams.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <span>
#include <utility>

#include "lunkit/try.hpp"

namespace lunkit::control {

namespace {

// The buffer of a tap lasts for 200,000 commands a second then. To be woken by what is put would
// cost the data path a system call.
constexpr std::chrono::milliseconds kInterval{20};

}  // namespace

TraceStreams::~TraceStreams() {
    for (Stream& stream : streams_) {
        stream.tap->stop();
        (void)carry_what_is_there(stream, true);  // nothing goes on
    }
}

Result<UniqueFd> TraceStreams::open(std::shared_ptr<core::TraceTap> tap) {
    std::array<int, 2> ends{-1, -1};
    // Messages, which arrive whole or not at all.
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return failure(errno, "no socket for the trace");
    }
    UniqueFd ours(ends[0]);
    UniqueFd theirs(ends[1]);
    keep_those(has_watcher);  // the one before may have ended just now
    CHECK(tap->start());
    streams_.push_back({.tap = std::move(tap), .socket = std::move(ours)});
    if (!timer_.running()) {
        timer_.start(kInterval, LoopTimer::Repeat::kEvery, [this] { carry_all(); });
    }
    return theirs;
}

void TraceStreams::keep_those(bool (*goes_on)(Stream&)) {
    std::erase_if(streams_, [goes_on](Stream& stream) {
        const bool ends = !goes_on(stream);
        if (ends) {
            stream.tap->stop();
        }
        return ends;
    });
}

bool TraceStreams::has_watcher(Stream& stream) {
    pollfd peer{
        .fd = stream.socket.get(), .events = POLLIN, .revents = 0};  // it never sends anything
    return ::poll(&peer, 1, 0) == 0;
}

bool TraceStreams::carry(Stream& stream) {
    if (!has_watcher(stream)) {
        stream.tap->stop();
        return carry_what_is_there(stream, true);  // it may still listen
    }
    // Asked first: what was put before is there.
    const bool closed = stream.tap->is_closed();
    return carry_what_is_there(stream, closed);
}

bool TraceStreams::carry_what_is_there(Stream& stream, bool is_last) {
    // No more than a buffer at a time, what waits already and what was lost: others have to be
    // carried as well.
    constexpr std::size_t kRounds = core::TraceTap::kRecords / kAtOnce + 2;
    for (std::size_t round = 0; round < kRounds; ++round) {
        if (stream.count == 0) {
            stream.count = stream.tap->take(stream.waiting);
        }
        if (const std::uint64_t lost = stream.count == 0 && is_last ? stream.tap->take_lost() : 0) {
            stream.waiting[0] = {.lost = lost};
            stream.count = 1;
        }
        if (stream.count == 0) {
            return !is_last;
        }
        const auto bytes = std::as_bytes(std::span(stream.waiting).first(stream.count));
        if (::send(stream.socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) <
            0) {
            return errno == EAGAIN || errno == EINTR || errno == ENOBUFS;
        }
        stream.count = 0;
    }
    return true;
}

void TraceStreams::carry_all() {
    keep_those(carry);
    if (streams_.empty()) {
        timer_.stop();
    }
}

}  // namespace lunkit::control
