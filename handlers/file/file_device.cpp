// SPDX-License-Identifier: Apache-2.0
#include "file_device.hpp"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "lunkit/creatable.hpp"
#include "lunkit/try.hpp"

namespace lunkit::file {

namespace {

std::string bytes(std::uint64_t count) {
    return std::to_string(count) + " bytes";
}

/// Whether the predecessor may have died between cutting the file and telling the kernel, for which
/// the LUN has its old size still. A file that nothing of ours cuts has lost data some other way.
bool was_being_cut(const FileOptions& options, const lunkit_file_info& info,
                   const OpenRequest& request) {
    return request.take_over && options.shrink && info.size < request.size &&
           info.is_block_device == 0 && info.read_only == 0;
}

/// What a LUN of `wanted` bytes (0: as large as the storage) may be made of. A predecessor may have
/// died between growing the file and growing the LUN.
Result<std::uint64_t> served_size(const std::string& path, const lunkit_file_info& info,
                                  std::uint64_t wanted, bool take_over) {
    if (wanted == 0) {
        return info.size;
    }
    if (info.size == wanted || (info.size > wanted && (info.is_block_device != 0 || take_over))) {
        return wanted;
    }
    return failure(
        EINVAL, path + " has " + bytes(info.size) + ", but the LUN has " + bytes(wanted) +
                    (info.is_block_device != 0 ? ": it does not fit" : ": they have to be equal"));
}

std::unexpected<Error> cannot_resize(const std::string& path, const File& file, std::uint64_t size,
                                     const Error& why) {
    const auto info = file.info();
    return failure(why.code, path + " cannot be resized to " + bytes(size) +
                                 (info ? "; it has " + bytes(info->size) : std::string()) + ": " +
                                 std::generic_category().message(why.code));
}

}  // namespace

FileDevice::FileDevice(FileOptions options, File file, const lunkit_file_info& info,
                       std::uint64_t size)
    : options_(std::move(options)), file_(std::move(file)), file_info_(info), size_(size) {}

Result<std::unique_ptr<FileDevice>> FileDevice::open(const OpenRequest& request) {
    TRY(FileOptions options, FileOptions::parse(request.config));
    // A successor finds what its predecessor served, or an error: never a new, empty file.
    const bool create = options.create && !request.take_over;
    const std::uint32_t flags =
        options.flags(request.read_only) | (create ? LUNKIT_FILE_CREATE : 0U);
    TRY(File file, File::open(request.host, options.path, flags, request.size));
    TRY(lunkit_file_info info, file.info());
    if (was_being_cut(options, info, request)) {
        const std::string text = options.path + " has " + bytes(info.size) + ", its LUN " +
                                 bytes(request.size) +
                                 ": taken for a shrink that was not finished, zeros are added";
        request.host.log(request.host_device, LUNKIT_LOG_WARNING, text.c_str());
        if (const Status grown = file.resize(request.size); !grown) {
            return cannot_resize(options.path, file, request.size, grown.error());
        }
        TRY(info, file.info());
    }
    TRY(const std::uint64_t size, served_size(options.path, info, request.size, request.take_over));
    return std::unique_ptr<FileDevice>(
        new FileDevice(std::move(options), std::move(file), info, size));
}

Status FileDevice::check_config(const CheckRequest& request) {
    TRY(const FileOptions options, FileOptions::parse(request.config));
    if (request.syntax_only) {
        return {};
    }
    const auto file = File::open(request.host, options.path, options.flags(false));
    if (file) {
        return {};
    }
    if (file.error().code == ENOENT && options.create && !options.readonly) {
        return check_folder_of(options.path);
    }
    return std::unexpected(file.error());
}

DeviceInfo FileDevice::info() const {
    const bool regular = file_info_.is_block_device == 0;
    DeviceInfo info;
    info.size = size_.load();
    info.type = options_.is_cd ? DeviceType::kCdDvd : DeviceType::kBlock;
    info.physical_block_size = file_info_.physical_block_size;
    info.optimal_io_size = file_info_.optimal_io_size;
    info.discard_granularity = file_info_.discard_granularity;
    info.read_only = file_info_.read_only != 0;
    info.write_cache = write_cache_.load();
    info.rotational = file_info_.is_rotational != 0;
    info.parallel = true;
    info.can_discard = options_.discard && !info.read_only && file_info_.discard_granularity != 0;
    info.thin = regular && info.can_discard;
    info.discard_zeroes = regular && info.can_discard;
    info.can_extents = regular;
    info.can_tell_space = regular;
    return info;
}

Task<Status> FileDevice::read(Queue& queue, const IoRequest& io) {
    const Outcome outcome =
        co_await file_.read(queue, io.offset, *io.data, io.data_offset, io.length);
    co_return to_status(outcome);
}

Task<Status> FileDevice::write(Queue& queue, const IoRequest& io) {
    const std::uint32_t flags = must_be_durable(io) ? LUNKIT_IO_FUA : 0U;
    const Outcome outcome =
        co_await file_.write(queue, io.offset, *io.data, io.data_offset, io.length, flags);
    co_return to_status(outcome);
}

Task<Status> FileDevice::flush(Queue& queue) {
    const Outcome outcome = co_await file_.flush(queue);
    co_return to_status(outcome);
}

Task<Status> FileDevice::discard(Queue& queue, const IoRequest& io) {
    // Anchored blocks keep their space: that is zeroing without giving it back.
    if ((io.flags & LUNKIT_IO_ANCHOR) != 0) {
        const Outcome outcome =
            co_await file_.zero(queue, io.offset, io.length, LUNKIT_ZERO_NO_FALLBACK);
        CO_CHECK(to_status(outcome));
    } else {
        const Outcome outcome = co_await file_.discard(queue, io.offset, io.length);
        CO_CHECK(to_status(outcome));
    }
    if (must_be_durable(io)) {
        CO_CHECK(co_await flush(queue));
    }
    co_return Status{};
}

Task<Status> FileDevice::write_zeroes(Queue& queue, const IoRequest& io) {
    const bool may_unmap = options_.discard && (io.flags & LUNKIT_IO_MAY_UNMAP) != 0;
    const std::uint32_t flags =
        (may_unmap ? LUNKIT_ZERO_MAY_UNMAP : 0U) |
        ((io.flags & LUNKIT_IO_NO_FALLBACK) != 0 ? LUNKIT_ZERO_NO_FALLBACK : 0U);
    const Outcome outcome = co_await file_.zero(queue, io.offset, io.length, flags);
    CO_CHECK(to_status(outcome));
    if (must_be_durable(io)) {
        CO_CHECK(co_await flush(queue));
    }
    co_return Status{};
}

Task<Result<std::uint32_t>> FileDevice::extents(Queue& queue, const IoRequest& io,
                                                std::span<Extent> extents) {
    lunkit_extent_list list{extents.data(), static_cast<std::uint32_t>(extents.size()), 0};
    const Outcome outcome = co_await file_.extents(queue, io.offset, io.length, list);
    CO_CHECK(to_status(outcome));
    co_return list.count;
}

Task<Result<Space>> FileDevice::space(Queue& queue) {
    Space space;
    space.shared = true;  // the file system is there for others as well
    const Outcome outcome = co_await queue.offload(this, [this, &space]() -> std::int64_t {
        constexpr std::uint64_t kUnitOfBlocks = 512;  // st_blocks
        struct stat file{};
        struct statvfs file_system{};
        if (::fstat(file_info_.fd, &file) != 0 || ::fstatvfs(file_info_.fd, &file_system) != 0) {
            return -errno;
        }
        space.used = static_cast<std::uint64_t>(file.st_blocks) * kUnitOfBlocks;
        space.available = std::uint64_t{file_system.f_bavail} * file_system.f_frsize;
        return 0;
    });
    CO_CHECK(to_status(outcome));
    co_return space;
}

Status FileDevice::resize(std::uint64_t size) {
    const std::uint64_t present = size_.load();
    if (size == present) {
        return {};
    }
    if (!options_.shrink && file_info_.is_block_device == 0) {
        // The file may be larger than the LUN, see served_size().
        TRY(const lunkit_file_info info, file_.info());
        const std::uint64_t held = std::max(present, info.size);
        if (size < held && !takes_growth_back(size)) {
            return failure(EPERM, options_.path + " would be cut from " + bytes(held) + " to " +
                                      bytes(size) +
                                      " and lose what is behind; shrink=on allows it");
        }
    }
    if (const Status status = file_.resize(size); !status) {
        return cannot_resize(options_.path, file_, size, status.error());
    }
    grown_from_ = size > present ? present : 0;
    size_.store(size);
    return {};
}

/// Whether a cut to `size` loses nothing but what the last resize added, to which nobody has
/// written: so a growth is undone that the kernel refuses. Requests behind `size` have ended.
bool FileDevice::takes_growth_back(std::uint64_t size) const {
    return grown_from_ != 0 && size >= grown_from_ &&
           ::lseek(file_info_.fd, static_cast<off_t>(size), SEEK_DATA) < 0 && errno == ENXIO;
}

Status FileDevice::set_write_cache(bool enabled) {
    write_cache_.store(enabled);
    return {};
}

}  // namespace lunkit::file

LUNKIT_HANDLER(lunkit::file::FileDevice, "file", "a regular file or a block device",
               lunkit::file::kConfigHelp);
