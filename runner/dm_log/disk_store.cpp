// SPDX-License-Identifier: Apache-2.0
#include "dm_log/disk_store.hpp"

#include <fmt/format.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "lunkit/try.hpp"

namespace lunkit::dm_log {

namespace {

constexpr std::size_t kMemoryAlignment = 4096;  // enough for O_DIRECT on any device

std::size_t round_up(std::uint64_t bytes, std::size_t unit) {
    return static_cast<std::size_t>((bytes + unit - 1) / unit * unit);
}

std::size_t round_down(std::size_t bytes, std::size_t unit) {
    return bytes / unit * unit;
}

}  // namespace

void DiskStore::FreeImage::operator()(std::byte* memory) const {
    std::free(memory);  // NOLINT(cppcoreguidelines-no-malloc): of std::aligned_alloc
}

Task<Status> DiskStore::open() {
    AsyncMutex::Guard turn(turn_);
    (void)co_await turn.acquire(queue_);
    CO_CHECK(co_await open_file());
    co_return Status();
}

Task<Status> DiskStore::open_file() {
    if (file_) {
        co_return Status();
    }
    Result<LogFile> opened = failure(EIO);
    const Outcome outcome = co_await queue_.offload(this, [this, &opened]() -> std::int64_t {
        opened = LogFile::open(path_, regions_);
        return 0;
    });
    if (!outcome.ok()) {
        co_return failure(static_cast<int>(-outcome.result), path_ + " could not be opened");
    }
    if (!opened) {
        co_return std::unexpected(std::move(opened).error());
    }
    const std::size_t bytes = round_up(disk::bytes_for(regions_), opened->block_size);
    memory_.reset(static_cast<std::byte*>(
        std::aligned_alloc(kMemoryAlignment, round_up(bytes, kMemoryAlignment))));
    if (!memory_) {
        co_return failure(ENOMEM, fmt::format("no memory for a log of {} bytes", bytes));
    }
    image_ = {memory_.get(), bytes};
    file_ = *std::move(opened);
    whole_written_ = false;
    co_return Status();
}

Task<Result<disk::Contents>> DiskStore::load() {
    AsyncMutex::Guard turn(turn_);
    (void)co_await turn.acquire(queue_);
    CO_CHECK(co_await open_file());
    CO_CHECK(co_await transfer(false, image_, 0));
    auto contents = disk::decode(image_);
    if (!contents) {
        co_return failure(contents.error().code,
                          fmt::format("{}: {}", path_, contents.error().what));
    }
    co_return contents;
}

Task<void> DiskStore::settle() {
    AsyncMutex::Guard turn(turn_);
    (void)co_await turn.acquire(queue_);
}

Task<Status> DiskStore::store(DirtyLog& log) {
    AsyncMutex::Guard turn(turn_);
    (void)co_await turn.acquire(queue_);
    if (!log.has_changes()) {
        co_return Status();
    }
    CO_CHECK(co_await open_file());
    const DirtyLog::Changes changes = log.take_changes();
    Status status = co_await write_changes(log, changes);
    if (status) {
        whole_written_ = true;
        co_return status;
    }
    // After a failed fdatasync the kernel has dropped what it could not write: all of it again.
    whole_written_ = false;
    log.put_back(changes);
    co_return failure(status.error().code, fmt::format("{}: {}", path_, status.error().what));
}

Task<Status> DiskStore::write_changes(const DirtyLog& log, DirtyLog::Changes changes) {
    if (!whole_written_) {
        co_return co_await write_whole(log);
    }
    const std::size_t unit = file_->block_size;
    const auto words =
        log.clean_words().subspan(changes.first_word, changes.end_word - changes.first_word);
    const std::size_t offset = disk::kBitmapOffset + changes.first_word * disk::kWordBytes;
    disk::encode_words(words, image_.subspan(offset));
    const std::size_t first = round_down(offset, unit);
    const std::size_t end = round_up(offset + words.size_bytes(), unit);
    CO_CHECK(co_await transfer(true, image_.subspan(first, end - first), first));
    if (changes.has_marks) {
        CO_CHECK(co_await sync());
    }
    co_return Status();
}

/// The header last: it says that the bits are to be believed, and what was there before were none.
Task<Status> DiskStore::write_whole(const DirtyLog& log) {
    std::ranges::fill(image_, std::byte{0});
    disk::encode_header(regions_, image_);
    disk::encode_words(log.clean_words(), image_.subspan(disk::kBitmapOffset));
    const std::size_t head = round_up(disk::kBitmapOffset, file_->block_size);
    CO_CHECK(co_await transfer(true, image_.subspan(head), head));
    CO_CHECK(co_await sync());
    CO_CHECK(co_await transfer(true, image_.first(head), 0));
    co_return co_await sync();
}

Task<Status> DiskStore::sync() {
    const Outcome synced = co_await Operation([this](lunkit_completion* completion) {
        return queue_.submit_data_sync(file_->fd.get(), this, completion);
    });
    if (!synced.ok()) {
        const int error = static_cast<int>(-synced.result);
        co_return failure(error, "cannot flush: " + std::generic_category().message(error));
    }
    co_return Status();
}

Task<Status> DiskStore::transfer(bool is_write, std::span<std::byte> bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const iovec vector{bytes.data(), bytes.size()};
        const core::FileTransfer part{.fd = file_->fd.get(),
                                      .is_write = is_write,
                                      .rw_flags = 0,
                                      .offset = offset,
                                      .iov = std::span(&vector, 1),
                                      .lane = this,
                                      .direct = file_->is_block_device};
        const Outcome moved = co_await Operation([this, &part](lunkit_completion* completion) {
            return queue_.submit_transfer(part, completion);
        });
        if (moved.result <= 0) {
            const int error = moved.result < 0 ? static_cast<int>(-moved.result) : EIO;
            co_return failure(error, fmt::format("cannot {}: {}", is_write ? "write" : "read",
                                                 std::generic_category().message(error)));
        }
        bytes = bytes.subspan(static_cast<std::size_t>(moved.result));
        offset += static_cast<std::uint64_t>(moved.result);
    }
    co_return Status();
}

}  // namespace lunkit::dm_log
