// SPDX-License-Identifier: Apache-2.0
// Flush and resize of a LocalFile, and its life.
#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "core/log.hpp"
#include "host/current_device.hpp"
#include "host/local_file.hpp"
#include "lunkit/try.hpp"

namespace lunkit::host {

namespace {
constexpr std::size_t kBounceSize = 256U << 10U;
}

Result<std::unique_ptr<LocalFile>> LocalFile::open(const FileRequest& request,
                                                   const FilePolicy& policy, FileCalls& calls) {
    TRY(OpenedFile file, open_file(request, policy));
    return std::make_unique<LocalFile>(std::move(file), calls, CurrentDevice::label());
}

LocalFile::LocalFile(OpenedFile file, FileCalls& calls, DeviceLabel device)
    : file_(std::move(file)), calls_(calls), device_(std::move(device)), bounce_(kBounceSize) {}

void LocalFile::latch_flush(int error, const char* what) {
    if (flush_.latch()) {
        core::log(core::LogLevel::kError, {device_.get(), 0},
                  "{}: {} failed ({}): what was written since the last good flush may be lost; "
                  "every flush and FUA write fails until the file is opened again",
                  file_.path, what, std::generic_category().message(error));
    }
}

int LocalFile::flush(core::EngineQueue& queue, lunkit_completion* completion) {
    if (file_.in_memory || file_.read_only) {
        completion->result = 0;
        return LUNKIT_DONE;
    }
    return run_flush(*this, queue, completion).settle(completion);
}

Request LocalFile::run_flush(LocalFile& self, core::EngineQueue& queue,
                             lunkit_completion* completion) {
    FlushState::Turn turn(self.flush_, queue);
    const Outcome verdict = co_await turn.enter();
    completion->result = verdict.result;
    if (verdict.result == FlushState::kLead) {
        Outcome outcome;
        do {
            outcome = co_await Operation([&](lunkit_completion* inner) {
                return self.calls_.submit_data_sync(queue, self.file_.sync_fd.get(), self.lane(),
                                                    inner);
            });
            if (outcome.result == -EAGAIN) {
                (void)co_await queue.yield();  // always 0
            }
        } while (outcome.result == -EINTR || outcome.result == -EAGAIN);
        const int error = outcome.result < 0 ? static_cast<int>(outcome.result) : 0;
        if (error != 0) {
            self.latch_flush(-error, "fdatasync");
        }
        completion->result = turn.finish(error);
    }
    completion->error_class =
        completion->result < 0 ? LUNKIT_ERROR_MEDIUM : LUNKIT_ERROR_UNSPECIFIED;
    co_return static_cast<int>(completion->result);
}

Status LocalFile::resize(std::uint64_t size) {
    TRY(const std::uint64_t present, file_size(file_));
    if (file_.is_block_device) {
        if (size > present) {
            return failure(EOPNOTSUPP, fmt::format("{} has {} bytes; a block device does not grow "
                                                   "to {} by itself",
                                                   file_.path, present, size));
        }
        return {};
    }
    if (size == present) {
        return {};
    }
    if (file_.read_only) {
        return failure(EROFS, file_.path + " is open for reading only");
    }
    if (size % file_.offset_alignment != 0) {
        return failure(EINVAL, fmt::format("{}: {} bytes is no multiple of the {} that direct I/O "
                                           "needs here",
                                           file_.path, size, file_.offset_alignment));
    }
    if (const int error = calls_.truncate(file_.fd.get(), size); error < 0) {
        return failure(-error, fmt::format("{}: cannot resize to {} bytes: {}", file_.path, size,
                                           std::generic_category().message(-error)));
    }
    if (const int error = calls_.sync(file_.sync_fd.get()); error < 0) {
        latch_flush(-error, "fsync");
        return failure(EIO, fmt::format("{}: the new size could not be made durable: {}",
                                        file_.path, std::generic_category().message(-error)));
    }
    return {};
}

Result<lunkit_file_info> LocalFile::info() const {
    TRY(const std::uint64_t size, file_size(file_));
    lunkit_file_info info{};
    info.struct_size = sizeof info;
    info.is_block_device = file_.is_block_device ? 1 : 0;
    info.is_rotational = file_.rotational ? 1 : 0;
    info.read_only = file_.read_only ? 1 : 0;
    info.size = size;
    info.logical_block_size = file_.offset_alignment;
    info.physical_block_size = file_.physical_block_size;
    info.optimal_io_size = file_.optimal_io_size;
    info.discard_granularity = file_.discard_granularity;
    info.fd = file_.fd.get();
    info.was_created = file_.created ? 1 : 0;
    return info;
}

}  // namespace lunkit::host
