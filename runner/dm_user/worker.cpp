// SPDX-License-Identifier: Apache-2.0
#include "dm_user/worker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/counter.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_user {

namespace {

using abi::Answer;
using abi::Message;
using abi::RequestType;
using core::LogLevel;

RequestType type_of(const Message& request) {
    return static_cast<RequestType>(request.type);
}

bool has(const Message& request, std::uint64_t flag) {
    return (request.flags & flag) != 0;
}

Answer answer_of(const Status& outcome) {
    if (outcome) {
        return Answer::kSuccess;
    }
    return outcome.error().code == EOPNOTSUPP ? Answer::kUnsupported : Answer::kError;
}

core::BlockOperation operation_of(const Message& request) {
    switch (type_of(request)) {
        case RequestType::kRead:
            return core::BlockOperation::kRead;
        case RequestType::kWrite:  // the kernel's flushes are writes of nothing
            return request.len != 0 ? core::BlockOperation::kWrite : core::BlockOperation::kFlush;
        case RequestType::kFlush:
            return core::BlockOperation::kFlush;
        case RequestType::kDiscard:
            return core::BlockOperation::kDiscard;
        case RequestType::kWriteZeroes:
            return core::BlockOperation::kWriteZeroes;
        default:
            return core::BlockOperation::kOther;
    }
}

std::string sentence(const Error& error) {
    return error.what.empty() ? std::generic_category().message(error.code) : error.what;
}

}  // namespace

Worker::Worker(const Target& target, std::unique_ptr<Channel> channel, std::span<std::byte> room)
    : target_(target), channel_(std::move(channel)), room_(room), caller_(target.queue) {}

Status Worker::run() {
    Status why = serve_channels();
    channel_.reset();  // while it is open, users wait for somebody to read from it
    return why;
}

Status Worker::serve_channels() {
    while (true) {
        Status served = serve_channel();
        if (served || served.error().code == ENOTBLK || !served_one_) {
            return served;
        }
        core::log(LogLevel::kWarning, {.device = target_.name},
                  "{}, opening the control node anew; one request fails", served.error().what);
        TRY(auto fresh, target_.open_channel());
        channel_ = std::move(fresh);
        served_one_ = false;
    }
}

Status Worker::serve_channel() {
    MessageStream stream(*channel_);
    while (!stopping_.load()) {
        TRY(const auto request, stream.next());
        if (request) {
            CHECK(serve(stream, *request));
            served_one_ = true;
        }
    }
    return {};
}

Status Worker::serve(MessageStream& stream, const Message& request) {
    const auto begun = std::chrono::steady_clock::now();
    counters_.begin();
    const Result<Served> served = perform(stream, request);
    counters_.leave();
    if (!served) {
        return std::unexpected(served.error());
    }
    note_end(request, served->outcome, std::chrono::steady_clock::now() - begun);
    core::count(counters_.kicks);
    return served->is_answered ? Status() : stream.answer(request, answer_of(served->outcome));
}

Result<Worker::Served> Worker::perform(MessageStream& stream, const Message& request) {
    switch (type_of(request)) {
        case RequestType::kRead:
            return read(stream, request);
        case RequestType::kWrite:
            return write(stream, request);
        default:
            return Served{.outcome = execute(request)};
    }
}

/// Calls visit(where it begins, piece of the room) for each piece of a payload, until one fails.
template <typename Visit>
Status Worker::for_each_piece(std::uint64_t length, Visit visit) {
    for (std::uint64_t done = 0; done < length;) {
        const auto piece = room_.first(std::min<std::uint64_t>(length - done, room_.size()));
        CHECK(visit(done, piece));
        done += piece.size();
    }
    return {};
}

Result<Worker::Served> Worker::read(MessageStream& stream, const Message& request) {
    const Result<std::uint64_t> offset = offset_of(request);
    if (!offset) {
        return Served{.outcome = std::unexpected(offset.error())};
    }
    const auto read_one = [&](std::uint64_t done, std::span<std::byte> piece) -> Status {
        return read_piece(*offset + done, piece);
    };
    if (const Status there = for_each_piece(request.len, read_one); !there) {
        return Served{.outcome = there};
    }
    if (request.len <= room_.size()) {
        CHECK(stream.answer(request, Answer::kSuccess, room_.first(request.len)));
        return Served{.outcome = {}, .is_answered = true};
    }
    CHECK(stream.answer(request, Answer::kSuccess));
    served_one_ = true;  // the channel is as good as any, should the storage fail now
    CHECK(
        for_each_piece(request.len, [&](std::uint64_t done, std::span<std::byte> piece) -> Status {
            if (const Status again = read_one(done, piece); !again) {
                return failure(EIO, fmt::format("a read has failed behind its success ({})",
                                                sentence(again.error())));
            }
            return stream.write_payload(piece);
        }));
    return Served{.outcome = {}, .is_answered = true};
}

/// The payload is read to its end also when the request has failed.
Result<Worker::Served> Worker::write(MessageStream& stream, const Message& request) {
    Status outcome = has(request, abi::kFlagPreflush) ? flush() : Status();
    const Result<std::uint64_t> offset = offset_of(request);
    if (outcome && !offset) {
        outcome = std::unexpected(offset.error());
    }
    const std::uint32_t flags = has(request, abi::kFlagFua) ? LUNKIT_IO_FUA : 0;
    CHECK(
        for_each_piece(request.len, [&](std::uint64_t done, std::span<std::byte> piece) -> Status {
            CHECK(stream.read_payload(piece));
            if (outcome) {
                outcome = write_piece(*offset + done, piece, flags);
            }
            return Status();
        }));
    return Served{.outcome = std::move(outcome)};
}

/// What has no payload.
Status Worker::execute(const Message& request) {
    if (type_of(request) == RequestType::kFlush) {
        return flush();
    }
    if (type_of(request) != RequestType::kDiscard &&
        type_of(request) != RequestType::kWriteZeroes) {
        // Nobody can promise that what SECURE_ERASE wants erased is nowhere any more, WRITE_SAME
        // comes without its data, and zones there are none.
        return failure(EOPNOTSUPP);
    }
    if (has(request, abi::kFlagPreflush)) {
        CHECK(flush());
    }
    TRY(const std::uint64_t offset, offset_of(request));
    if (request.len == 0) {
        return {};
    }
    const std::uint32_t fua = has(request, abi::kFlagFua) ? LUNKIT_IO_FUA : 0;
    if (type_of(request) == RequestType::kDiscard) {
        const IoRequest io(offset, request.len, fua);
        return caller_.run([&](Queue& queue) { return target_.block.discard(queue, io); });
    }
    const std::uint32_t unmap = has(request, abi::kFlagNoUnmap) ? 0 : LUNKIT_IO_MAY_UNMAP;
    const IoRequest io(offset, request.len, fua | unmap);
    return caller_.run([&](Queue& queue) { return target_.block.write_zeroes(queue, io); });
}

/// Bytes from the start of the storage, all of the request within it. A request of nothing may be
/// anywhere.
Result<std::uint64_t> Worker::offset_of(const Message& request) const {
    if (request.len == 0) {
        return 0;
    }
    const std::uint64_t size = target_.block.info().size;
    constexpr std::uint64_t kSector = 1U << abi::kSectorShift;
    const std::uint64_t sector = request.sector - target_.start_sectors512;
    if (request.sector < target_.start_sectors512 || request.len % kSector != 0 ||
        sector > size >> abi::kSectorShift ||
        !ByteRange::fits(sector << abi::kSectorShift, request.len, size)) {
        return failure(EINVAL, fmt::format("it is outside of the storage, which has {} bytes and "
                                           "begins at sector {}",
                                           size, target_.start_sectors512));
    }
    return sector << abi::kSectorShift;
}

Status Worker::read_piece(std::uint64_t offset, std::span<std::byte> piece) {
    const SingleData data(piece);
    const IoRequest io(offset, data);
    return caller_.run([&](Queue& queue) { return target_.block.read(queue, io); });
}

Status Worker::write_piece(std::uint64_t offset, std::span<std::byte> piece, std::uint32_t flags) {
    const SingleData data(piece);
    const IoRequest io(offset, data, flags);
    return caller_.run([&](Queue& queue) { return target_.block.write(queue, io); });
}

Status Worker::flush() {
    return caller_.run([&](Queue& queue) { return target_.block.flush(queue); });
}

void Worker::note_end(const Message& request, const Status& outcome,
                      std::chrono::nanoseconds took) {
    const core::BlockOperation operation = operation_of(request);
    const core::CommandEnd end{
        .kind = core::class_of(operation),
        .bytes = outcome ? request.len : 0,
        .took = took,
        .error = outcome ? core::ErrorKind() : core::ErrorKind::system(outcome.error().code)};
    counters_.ended(end);
    if (target_.trace->is_watched()) {
        core::TraceRecord record = core::trace_record(end, request.seq);
        record.operation = operation;
        record.offset = request.sector << abi::kSectorShift;
        record.bytes = request.len;
        target_.trace->put(record);
    }
    if (outcome) {
        return;
    }
    if (std::uint64_t kept_back = 0;
        outcome.error().code != EOPNOTSUPP && error_limit_.admit(&kept_back)) {
        core::log(
            LogLevel::kError, {.device = target_.name, .tag = request.seq},
            "operation {} of {} bytes at sector {}: {}{}", request.type, request.len,
            request.sector, sentence(outcome.error()),
            kept_back == 0 ? "" : fmt::format(" ({} more like this were not told)", kept_back));
    }
}

}  // namespace lunkit::dm_user
