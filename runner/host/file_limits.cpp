// SPDX-License-Identifier: Apache-2.0
// Sources: statx(2) STATX_DIOALIGN (Linux 6.1); Documentation/ABI/stable/sysfs-block.
#include "host/file_limits.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "core/system_failure.hpp"
#include "host/io_memory.hpp"
#include "lunkit/try.hpp"

namespace lunkit::host {

namespace {

/// A number in the queue folder of the disk behind `device`, if there is one.
std::optional<std::uint64_t> queue_attribute(dev_t device, const char* name) {
    // A partition has no queue of its own; its disk is the folder above.
    for (const char* way : {"queue", "../queue"}) {
        std::ifstream file(
            fmt::format("/sys/dev/block/{}:{}/{}/{}", major(device), minor(device), way, name));
        std::uint64_t value = 0;
        if (file >> value) {
            return value;
        }
    }
    return std::nullopt;
}

std::uint32_t as_u32(std::uint64_t value) {
    return value > UINT32_MAX ? 0 : static_cast<std::uint32_t>(value);
}

struct DirectAlignment {
    std::uint32_t memory = 0;
    std::uint32_t offset = 0;
};

DirectAlignment direct_alignment(const OpenedFile& file) {
    struct statx status{};
#ifdef STATX_DIOALIGN
    if (::statx(file.fd.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) == 0 &&
        (status.stx_mask & STATX_DIOALIGN) != 0) {
        return {status.stx_dio_mem_align, status.stx_dio_offset_align};
    }
#endif
    int sector = 0;
    if (file.is_block_device && ::ioctl(file.fd.get(), BLKSSZGET, &sector) == 0 && sector > 0) {
        return {static_cast<std::uint32_t>(sector), static_cast<std::uint32_t>(sector)};
    }
    return {kPageSize, kPageSize};
}

/// Direct I/O is refused at the first transfer, not at open, so one is tried here.
Status probe_direct(const OpenedFile& file) {
    const std::size_t size = std::max<std::size_t>(file.offset_alignment, kPageSize);
    const std::unique_ptr<void, decltype(&release_pages)> page(allocate_pages(size),
                                                               &release_pages);
    if (page == nullptr) {
        return failure(ENOMEM);
    }
    if (::pread(file.fd.get(), page.get(), file.offset_alignment, 0) < 0 && errno == EINVAL) {
        return failure(EINVAL, fmt::format("{}: direct I/O in blocks of {} bytes is refused here",
                                           file.path, file.offset_alignment));
    }
    return {};
}

Status find_alignment(OpenedFile& file) {
    const DirectAlignment alignment = direct_alignment(file);
    if (alignment.offset == 0 || alignment.memory == 0) {
        return failure(EOPNOTSUPP, file.path + ": its file system has no direct I/O for it");
    }
    file.offset_alignment = alignment.offset;
    file.memory_alignment = alignment.memory;
    CHECK(probe_direct(file));
    TRY(const std::uint64_t size, file_size(file));
    if (!file.read_only && size % alignment.offset != 0) {
        return failure(EINVAL,
                       fmt::format("{} has {} bytes, which is no multiple of the {} that direct "
                                   "I/O needs here",
                                   file.path, size, alignment.offset));
    }
    return {};
}

void find_block_device_limits(OpenedFile& file, dev_t device) {
    unsigned number = 0;
    if (::ioctl(file.fd.get(), BLKPBSZGET, &number) == 0) {
        file.physical_block_size = number;
    }
    if (::ioctl(file.fd.get(), BLKIOOPT, &number) == 0) {
        file.optimal_io_size = number;
    }
    int sector = 0;
    if (::ioctl(file.fd.get(), BLKSSZGET, &sector) == 0 && sector > 0) {
        file.sector_size = static_cast<std::uint32_t>(sector);
    }
    int flag = 0;
    if (::ioctl(file.fd.get(), BLKROGET, &flag) == 0 && flag != 0) {
        file.read_only = true;
    }
    file.rotational = queue_attribute(device, "rotational").value_or(0) != 0;
    if (queue_attribute(device, "discard_max_bytes").value_or(0) != 0) {
        file.discard_granularity =
            as_u32(queue_attribute(device, "discard_granularity").value_or(0));
    }
}

void find_regular_file_limits(OpenedFile& file, const struct stat& status) {
    struct statfs system{};
    if (::fstatfs(file.fd.get(), &system) == 0) {
        file.in_memory = system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC;
    }
    const auto block = as_u32(static_cast<std::uint64_t>(status.st_blksize));
    file.physical_block_size = std::min<std::uint32_t>(block, kPageSize);
    file.rotational = queue_attribute(status.st_dev, "rotational").value_or(0) != 0;
    // Punching behind the end changes nothing and tells whether the file system can.
    constexpr off_t kBehind = 1 << 20;
    const off_t behind = (status.st_size + kBehind) / kBehind * kBehind;
    if (!file.read_only && ::fallocate(file.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                       behind, kPageSize) == 0) {
        file.discard_granularity = file.physical_block_size;
    }
}

}  // namespace

Status find_limits(OpenedFile& file, bool direct) {
    struct stat status{};
    if (::fstat(file.fd.get(), &status) != 0) {
        return core::system_failure(file.path);
    }
    if (file.is_block_device) {
        find_block_device_limits(file, status.st_rdev);
    } else {
        find_regular_file_limits(file, status);
    }
    if (direct && !file.in_memory) {
        return find_alignment(file);
    }
    return {};
}

}  // namespace lunkit::host
