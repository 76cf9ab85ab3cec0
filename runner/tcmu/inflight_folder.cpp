// SPDX-License-Identifier: Apache-2.0
#include "tcmu/inflight_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/private_folder.hpp"
#include "core/system_failure.hpp"
#include "lunkit/try.hpp"

namespace lunkit::tcmu {

namespace {

constexpr std::uint64_t kMagic = 0x6c6b2d6f776e7231;  // "lk-ownr1"

/// The head of a file.
struct OwnerRecord {
    std::uint64_t magic;
    std::uint64_t node;
    std::uint32_t device_id;
    std::uint32_t name_length;
    std::array<char, 1024> name;  // configfs allows 255 bytes for each of its two parts
};
static_assert(sizeof(OwnerRecord) <= InflightFolder::kUnitOffset);

OwnerRecord record_of(const TableOwner& owner) {
    OwnerRecord record{.magic = kMagic,
                       .node = owner.node,
                       .device_id = owner.device_id,
                       .name_length = static_cast<std::uint32_t>(owner.name.size()),
                       .name = {}};
    std::copy_n(owner.name.begin(), std::min(owner.name.size(), record.name.size()),
                record.name.begin());
    return record;
}

std::string file_name(std::uint32_t minor) {
    return fmt::format("uio{}.inflight", minor);
}

void unlink_file(const UniqueFd& folder, const std::string& name) {
    (void)::unlinkat(folder.get(), name.c_str(), 0);  // it need not be there
}

}  // namespace

Result<TableMemory> TableMemory::anonymous(std::size_t bytes) {
    TableMemory memory;
    TRY(memory.mapping_, core::MemoryMapping::anonymous(kUnitRoom + bytes));
    return memory;
}

Result<InflightFolder> InflightFolder::open(const std::string& run_dir, NodeOf node_of) {
    InflightFolder folder;
    folder.node_of_ = std::move(node_of);
    TRY(folder.folder_, core::open_private_folder(run_dir, "tcmu"));
    return folder;
}

Result<TableMemory> InflightFolder::find(std::uint32_t minor, const TableOwner& owner,
                                         std::size_t table_bytes) const {
    const std::string name = file_name(minor);
    const UniqueFd fd(
        ::openat(folder_.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        return core::system_failure("cannot open " + name);
    }
    const OwnerRecord expected = record_of(owner);
    OwnerRecord found{};
    if (!S_ISREG(status.st_mode) ||
        static_cast<std::uint64_t>(status.st_size) != kTableOffset + table_bytes ||
        ::pread(fd.get(), &found, sizeof found, 0) != static_cast<ssize_t>(sizeof found) ||
        std::memcmp(&found, &expected, sizeof found) != 0) {
        return failure(ENOENT, name + " is of another device or version");
    }
    TableMemory memory;
    memory.unit_offset_ = kUnitOffset;
    TRY(memory.mapping_, core::MemoryMapping::of_file(fd.get(), kTableOffset + table_bytes, name));
    return memory;
}

Result<TableMemory> InflightFolder::make(std::uint32_t minor, const TableOwner& owner,
                                         std::size_t table_bytes) const {
    const std::string name = file_name(minor);
    const std::lock_guard lock(*changing_);
    if (node_of_(minor) != owner.node) {
        return failure(ENODEV, owner.name + " is gone");
    }
    unlink_file(folder_, name);
    const UniqueFd fd(::openat(folder_.get(), name.c_str(),
                               O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(kTableOffset + table_bytes)) != 0) {
        return core::system_failure("cannot make " + name);
    }
    TableMemory memory;
    memory.unit_offset_ = kUnitOffset;
    TRY(memory.mapping_, core::MemoryMapping::of_file(fd.get(), kTableOffset + table_bytes, name));
    const OwnerRecord record = record_of(owner);
    if (::pwrite(fd.get(), &record, sizeof record, 0) != static_cast<ssize_t>(sizeof record)) {
        const auto error = core::system_failure("cannot write " + name);
        unlink_file(folder_, name);
        return error;
    }
    return memory;
}

void InflightFolder::remove(std::uint32_t minor, std::uint64_t node) const {
    const std::string name = file_name(minor);
    const std::lock_guard lock(*changing_);
    const UniqueFd fd(
        ::openat(folder_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    OwnerRecord found{};
    if (fd && ::pread(fd.get(), &found, sizeof found, 0) == static_cast<ssize_t>(sizeof found) &&
        found.magic == kMagic && found.node == node) {
        unlink_file(folder_, name);
    }
}

}  // namespace lunkit::tcmu
