// SPDX-License-Identifier: Apache-2.0
#include "ublk/hardware_queue.hpp"

#include <poll.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "core/posted_call.hpp"
#include "lunkit/try.hpp"

namespace lunkit::ublk {

namespace {

using core::LogLevel;

abi::Op op_of(const abi::IoDescriptor& request) {
    return static_cast<abi::Op>(request.op_flags & abi::kOpMask);
}

std::uint64_t bytes_of(const abi::IoDescriptor& request) {
    return std::uint64_t{request.nr_sectors} << abi::kSectorShift;
}

/// FUA counts for writes and zeroes; NOUNMAP for zeroes.
std::uint32_t flags_of(const abi::IoDescriptor& request) {
    std::uint32_t flags = 0;
    if ((request.op_flags & abi::kIoFua) != 0) {
        flags |= LUNKIT_IO_FUA;
    }
    if (op_of(request) == abi::Op::kWriteZeroes && (request.op_flags & abi::kIoNoUnmap) == 0) {
        flags |= LUNKIT_IO_MAY_UNMAP;
    }
    return flags;
}

core::BlockOperation operation_of(const abi::IoDescriptor& request) {
    switch (op_of(request)) {
        case abi::Op::kRead:
            return core::BlockOperation::kRead;
        case abi::Op::kWrite:
            return core::BlockOperation::kWrite;
        case abi::Op::kFlush:
            return core::BlockOperation::kFlush;
        case abi::Op::kDiscard:
            return core::BlockOperation::kDiscard;
        case abi::Op::kWriteZeroes:
            return core::BlockOperation::kWriteZeroes;
        default:
            return core::BlockOperation::kOther;
    }
}

}  // namespace

Result<std::unique_ptr<HardwareQueue>> HardwareQueue::make(HardwareQueueParts parts) {
    TRY(core::MemoryMapping buffers,
        core::MemoryMapping::anonymous(std::size_t{parts.depth} * parts.max_io_bytes));
    return std::unique_ptr<HardwareQueue>(new HardwareQueue(std::move(parts), std::move(buffers)));
}

HardwareQueue::HardwareQueue(HardwareQueueParts parts, core::MemoryMapping buffers)
    : parts_(std::move(parts)), buffers_(std::move(buffers)) {}

HardwareQueue::~HardwareQueue() = default;

std::span<std::byte> HardwareQueue::buffer(std::uint16_t tag) const {
    return buffers_.bytes().subspan(std::size_t{tag} * parts_.max_io_bytes, parts_.max_io_bytes);
}

/// One I/O command as an awaitable; `result` counts with COMMIT_AND_FETCH.
auto HardwareQueue::command(std::uint32_t op, std::uint16_t tag, std::int32_t result) {
    return Operation([this, op, tag, result](lunkit_completion* completion) {
        const abi::IoCommand io{.q_id = parts_.number,
                                .tag = tag,
                                .result = result,
                                .addr = reinterpret_cast<std::uintptr_t>(buffer(tag).data())};
        core::DriverCommand command{.fd = parts_.chars.fd(), .op = op, .payload = {}};
        static_assert(sizeof io == sizeof command.payload);
        std::memcpy(command.payload.data(), &io, sizeof io);
        return parts_.engine.submit_command(command, completion);
    });
}

Task<Status> HardwareQueue::fetch() {
    tags_out_ = parts_.depth;
    for (std::uint16_t tag = 0; tag < parts_.depth; ++tag) {
        serve(tag);
    }
    // The ring takes this behind the fetches and has its outcome, whatever that is, at once: when
    // it is here, so are the fetches that were refused.
    (void)co_await parts_.engine.poll(parts_.chars.fd(), POLLOUT);
    if (refused_) {
        co_return failure(EIO, "the kernel does not let requests be fetched");
    }
    co_return Status();
}

Status HardwareQueue::map() {
    TRY(descriptors_, parts_.chars.map(parts_.number, parts_.depth));
    return {};
}

Detached HardwareQueue::serve(std::uint16_t tag) {
    Outcome answer = co_await command(abi::kFetchReq, tag, 0);
    while (answer.result == abi::kIoResOk && !leaving_) {
        ++running_;
        const std::int32_t result = co_await perform(tag);
        --running_;
        tell_rest();
        answer = co_await command(abi::kCommitAndFetchReq, tag, result);
    }
    if (!leaving_) {
        give_back(tag, answer.result);
    }
}

void HardwareQueue::leave(std::function<void()> rested) {
    leaving_ = true;
    rested_ = std::move(rested);
    tell_rest();
}

void HardwareQueue::tell_rest() {
    if (running_ == 0 && rested_) {
        core::call_on(parts_.engine, std::exchange(rested_, nullptr));
    }
}

/// The tag is over: -ENODEV is the kernel's word for it, anything else a command it did not take.
void HardwareQueue::give_back(std::uint16_t tag, std::int64_t answer) {
    if (answer != -ENODEV && answer != -ECANCELED) {
        refused_ = true;
        core::log(LogLevel::kError, {.device = parts_.device, .tag = tag},
                  "the kernel does not take the tag: {}",
                  std::generic_category().message(static_cast<int>(-answer)));
    }
    if (--tags_out_ == 0) {
        core::call_on(parts_.engine, [ended = std::move(parts_.ended)] { ended(); });
    }
}

/// Gives what the commit says: bytes done, or -errno.
Task<std::int32_t> HardwareQueue::perform(std::uint16_t tag) {
    const abi::IoDescriptor request = descriptors_.of(tag);
    const auto begun = std::chrono::steady_clock::now();
    counters_.begin();
    const Status status = co_await execute(request, tag);
    counters_.leave();
    note_end(request, tag, status, std::chrono::steady_clock::now() - begun);
    if (!status) {
        co_return status.error().code > 0 ? -status.error().code : -EIO;
    }
    // What is short the kernel asks for again, for ever when nothing was done: it is whole or
    // failed.
    const bool moves_data = op_of(request) <= abi::Op::kWrite;
    co_return moves_data ? static_cast<std::int32_t>(bytes_of(request)) : 0;
}

Task<Status> HardwareQueue::execute(abi::IoDescriptor request, std::uint16_t tag) {
    const abi::Op op = op_of(request);
    if (op == abi::Op::kFlush) {  // its sectors mean nothing
        Status status = co_await parts_.block.flush(parts_.engine);
        co_return status;
    }
    const IoRequest io(request.start_sector << abi::kSectorShift, bytes_of(request),
                       flags_of(request));
    switch (op) {
        case abi::Op::kRead:
        case abi::Op::kWrite: {
            Status status = co_await transfer(io, tag, op == abi::Op::kWrite);
            co_return status;
        }
        case abi::Op::kDiscard: {
            Status status = co_await parts_.block.discard(parts_.engine, io);
            co_return status;
        }
        case abi::Op::kWriteZeroes: {
            Status status = co_await parts_.block.write_zeroes(parts_.engine, io);
            co_return status;
        }
        default:
            co_return failure(EOPNOTSUPP, "an operation that is not served");
    }
}

Task<Status> HardwareQueue::transfer(IoRequest io, std::uint16_t tag, bool is_write) {
    if (io.length > parts_.max_io_bytes) {
        co_return failure(EIO, "the kernel asks for more than a buffer holds");
    }
    const SingleData data(buffer(tag).first(io.length));
    io.data = &data;
    io.tag = tag;
    if (is_write) {
        Status status = co_await parts_.block.write(parts_.engine, io);
        co_return status;
    }
    Status status = co_await parts_.block.read(parts_.engine, io);
    co_return status;
}

void HardwareQueue::note_end(const abi::IoDescriptor& request, std::uint16_t tag,
                             const Status& status, std::chrono::nanoseconds took) {
    const core::BlockOperation operation = operation_of(request);
    const core::CommandEnd end{
        .kind = core::class_of(operation),
        .bytes = status ? bytes_of(request) : 0,
        .took = took,
        .error = status ? core::ErrorKind() : core::ErrorKind::system(status.error().code)};
    counters_.ended(end);
    if (parts_.trace.is_watched()) {
        core::TraceRecord record = core::trace_record(end, tag);
        record.operation = operation;
        if (operation != core::BlockOperation::kFlush) {  // its sectors mean nothing
            record.offset = request.start_sector << abi::kSectorShift;
            record.bytes = bytes_of(request);
        }
        parts_.trace.put(record);
    }
    if (status) {
        return;
    }
    // Discard and write zeroes are asked for on trial; the kernel then does without.
    if (std::uint64_t kept_back = 0;
        status.error().code != EOPNOTSUPP && error_limit_.admit(&kept_back)) {
        core::log(
            LogLevel::kError, {.device = parts_.device, .tag = tag},
            "operation {} of {} bytes at sector {}: {}{}", request.op_flags & abi::kOpMask,
            bytes_of(request), request.start_sector,
            status.error().what.empty() ? std::generic_category().message(status.error().code)
                                        : status.error().what,
            kept_back == 0 ? "" : fmt::format(" ({} more like this were not told)", kept_back));
    }
}

}  // namespace lunkit::ublk
