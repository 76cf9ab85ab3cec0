// SPDX-License-Identifier: Apache-2.0
#include "dm_log/state_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "core/log.hpp"
#include "core/private_folder.hpp"
#include "dm_log/abi.hpp"
#include "dm_log/dirty_log.hpp"
#include "dm_log/log_arguments.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_log {

namespace {

constexpr std::uint64_t kMagic = 0x6c6b2d646d6c6731;  // "lk-dmlg1"

/// The head of a file. All of it is compared or checked before anything is believed.
struct Head {
    std::uint64_t magic;
    std::uint64_t luid;
    std::uint64_t regions;
    std::array<char, 64> boot;
    std::array<char, abi::kUuidRoom> uuid;
    std::array<char, abi::kDataRoom> arguments;
    std::uint64_t marks;
};
static_assert(sizeof(Head) <= StateFolder::kBitsOffset);

template <std::size_t kSize>
std::array<char, kSize> padded(std::string_view text) {
    std::array<char, kSize> room{};
    std::copy_n(text.begin(), std::min(text.size(), kSize - 1), room.begin());
    return room;
}

template <std::size_t kSize>
std::string text_of(std::array<char, kSize> room) {
    room.back() = '\0';
    return room.data();
}

std::string file_name(std::uint64_t luid) {
    return fmt::format("{:016x}.log", luid);
}

std::uint64_t file_size(std::uint64_t regions) {
    return StateFolder::kBitsOffset + DirtyLog::words_for(regions) * sizeof(std::uint64_t);
}

std::unexpected<Error> system_failure(int error, std::string_view what, std::string_view name) {
    return failure(
        error, fmt::format("cannot {} {}: {}", what, name, std::generic_category().message(error)));
}

}  // namespace

std::span<std::uint64_t> LogMemory::words() const {
    const auto bytes = mapping_.bytes().subspan(StateFolder::kBitsOffset);
    return {reinterpret_cast<std::uint64_t*>(bytes.data()), bytes.size() / sizeof(std::uint64_t)};
}

std::uint64_t* LogMemory::marks() const {
    return reinterpret_cast<std::uint64_t*>(mapping_.bytes().data() + offsetof(Head, marks));
}

Result<StateFolder> StateFolder::open(const std::string& run_dir, std::string boot) {
    StateFolder folder;
    TRY(folder.folder_, core::open_private_folder(run_dir, "dm_log"));
    folder.boot_ = std::move(boot);
    return folder;
}

Result<LogMemory> StateFolder::make(const LogIdentity& identity, std::uint64_t regions) const {
    const std::string name = file_name(identity.luid);
    LogMemory memory;
    memory.fd_.reset(::openat(folder_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!memory.fd_) {
        return system_failure(errno, "make", name);
    }
    const std::uint64_t size = file_size(regions);
    // A page that could not be had later would be a SIGBUS.
    if (const int error = ::posix_fallocate(memory.fd_.get(), 0, static_cast<off_t>(size));
        error != 0) {
        return system_failure(error, fmt::format("take {} bytes for", size), name);
    }
    const Head head{.magic = kMagic,
                    .luid = identity.luid,
                    .regions = regions,
                    .boot = padded<sizeof Head::boot>(boot_),
                    .uuid = padded<sizeof Head::uuid>(identity.uuid),
                    .arguments = padded<sizeof Head::arguments>(identity.arguments),
                    .marks = 0};
    if (::pwrite(memory.fd_.get(), &head, sizeof head, 0) != static_cast<ssize_t>(sizeof head)) {
        return system_failure(errno, "write", name);
    }
    TRY(memory.mapping_,
        core::MemoryMapping::of_file(memory.fd_.get(), static_cast<std::size_t>(size), name));
    return memory;
}

Status StateFolder::publish(LogMemory& memory, const LogIdentity& identity) const {
    const std::string name = file_name(identity.luid);
    const std::string nameless = fmt::format("/proc/self/fd/{}", memory.fd_.get());
    remove(identity.luid);
    if (::linkat(AT_FDCWD, nameless.c_str(), folder_.get(), name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
        return system_failure(errno, "name", name);
    }
    memory.fd_.reset();
    return {};
}

void StateFolder::remove(std::uint64_t luid) const {
    (void)::unlinkat(folder_.get(), file_name(luid).c_str(), 0);  // it need not be there
}

Result<StateFolder::Found> StateFolder::find(const std::string& name) const {
    const UniqueFd fd(
        ::openat(folder_.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        return system_failure(errno, "open", name);
    }
    Head head{};
    if (!S_ISREG(status.st_mode) ||
        ::pread(fd.get(), &head, sizeof head, 0) != static_cast<ssize_t>(sizeof head) ||
        head.magic != kMagic || head.boot != padded<sizeof Head::boot>(boot_)) {
        return failure(EINVAL, name + " is of another boot or version");
    }
    Found found{.identity = {.luid = head.luid,
                             .uuid = text_of(head.uuid),
                             .arguments = text_of(head.arguments)},
                .regions = head.regions,
                .memory = {}};
    const auto arguments = parse_log_arguments(found.identity.arguments);
    if (name != file_name(head.luid) || !arguments || arguments->regions() != head.regions ||
        static_cast<std::uint64_t>(status.st_size) != file_size(head.regions)) {
        return failure(EINVAL, name + " contradicts itself");
    }
    TRY(found.memory.mapping_,
        core::MemoryMapping::of_file(fd.get(), static_cast<std::size_t>(status.st_size), name));
    return found;
}

Result<std::vector<StateFolder::Found>> StateFolder::find_all() const {
    std::vector<Found> all;
    std::error_code error;
    std::filesystem::directory_iterator entry(fmt::format("/proc/self/fd/{}", folder_.get()),
                                              error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        const std::string name = entry->path().filename();
        if (auto found = find(name)) {
            all.push_back(*std::move(found));
        } else {
            core::log(core::LogLevel::kWarning, {}, "dm-log: {}, removing it", found.error().what);
            (void)::unlinkat(folder_.get(), name.c_str(), 0);  // what stays is looked at again
        }
    }
    if (error) {
        return failure(error.value(), "cannot read the folder of logs: " + error.message());
    }
    return all;
}

Result<std::string> boot_id() {
    std::string id;
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    if (!std::getline(file, id) || id.empty()) {
        return failure(EIO, "cannot read the kernel's boot_id");
    }
    return id;
}

}  // namespace lunkit::dm_log
