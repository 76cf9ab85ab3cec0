// SPDX-License-Identifier: Apache-2.0
#include "host/file_locks.hpp"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "core/log.hpp"
#include "lunkit/try.hpp"

namespace lunkit::host {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPause{20};
constexpr off_t kUsesByte = 100;
constexpr off_t kDeniesByte = 200;
constexpr unsigned kPermissions = 4;
constexpr std::array<const char*, kPermissions> kNames{"consistent read", "write",
                                                       "write unchanged", "resize"};

struct Entry {
    std::uint64_t number = 0;
    unsigned uses = 0;
    unsigned denies = 0;
    std::string device;
};

/// The files that this daemon has open.
struct Table {
    std::mutex mutex;
    std::uint64_t last_number = 0;
    std::multimap<core::FileIdentity, Entry> entries;

    static Table& instance() {
        static Table table;
        return table;
    }
};

unsigned bit(FileLock::Permission permission) {
    return 1U << permission;
}

/// fcntl with one byte of the file; gives -errno, or 0. For F_OFD_GETLK *type gets what is there.
int one_byte(int fd, int command, off_t byte, short* type) {
    struct flock range{};
    range.l_type = *type;
    range.l_whence = SEEK_SET;
    range.l_start = byte;
    range.l_len = 1;
    if (::fcntl(fd, command, &range) != 0) {
        return -errno;
    }
    *type = range.l_type;
    return 0;
}

int take_bytes(int fd, off_t base, unsigned permissions) {
    for (unsigned p = 0; p < kPermissions; ++p) {
        short type = F_RDLCK;
        if ((permissions >> p & 1U) != 0) {
            if (const int error = one_byte(fd, F_OFD_SETLK, base + p, &type); error != 0) {
                return error;
            }
        }
    }
    return 0;
}

/// The permission whose opposite byte somebody else holds, or kPermissions.
unsigned find_conflict(int fd, off_t base, unsigned permissions) {
    for (unsigned p = 0; p < kPermissions; ++p) {
        short type = F_WRLCK;
        if ((permissions >> p & 1U) != 0 && one_byte(fd, F_OFD_GETLK, base + p, &type) == 0 &&
            type != F_UNLCK) {
            return p;
        }
    }
    return kPermissions;
}

void drop_bytes(int fd) {
    for (const off_t base : {kUsesByte, kDeniesByte}) {
        for (unsigned p = 0; p < kPermissions; ++p) {
            short type = F_UNLCK;
            (void)one_byte(fd, F_OFD_SETLK, base + p, &type);  // what is not held cannot be dropped
        }
    }
}

/// 0; EBUSY with the permission in question; or another errno: no such locks here.
int try_lock(int fd, unsigned uses, unsigned denies, unsigned* permission) {
    *permission = FileLock::kWrite;
    int error = take_bytes(fd, kUsesByte, uses);
    if (error == 0) {
        error = take_bytes(fd, kDeniesByte, denies);
    }
    if (error == 0) {
        *permission = find_conflict(fd, kDeniesByte, uses);
        if (*permission == kPermissions) {
            *permission = find_conflict(fd, kUsesByte, denies);
        }
        if (*permission == kPermissions) {
            return 0;
        }
        error = -EBUSY;
    }
    drop_bytes(fd);
    return error == -EAGAIN || error == -EACCES ? EBUSY : -error;
}

}  // namespace

FileLock::FileLock(FileLock&& other) noexcept
    : identity_(other.identity_),
      entry_(std::exchange(other.entry_, 0)),
      uses_(other.uses_),
      denies_(other.denies_) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
    std::swap(identity_, other.identity_);
    std::swap(entry_, other.entry_);
    std::swap(uses_, other.uses_);
    std::swap(denies_, other.denies_);
    return *this;
}

FileLock::~FileLock() {
    if (entry_ == 0) {
        return;
    }
    Table& table = Table::instance();
    const std::lock_guard hold(table.mutex);
    const auto [first, last] = table.entries.equal_range(identity_);
    for (auto it = first; it != last; ++it) {
        if (it->second.number == entry_) {
            table.entries.erase(it);
            return;
        }
    }
}

std::optional<std::string> FileLock::enter(const std::string& device) {
    Table& table = Table::instance();
    const std::lock_guard hold(table.mutex);
    const auto [first, last] = table.entries.equal_range(identity_);
    for (auto it = first; it != last; ++it) {
        const Entry& other = it->second;
        if ((uses_ & other.denies) != 0 || (denies_ & other.uses) != 0) {
            return other.device;
        }
    }
    entry_ = ++table.last_number;
    table.entries.emplace(identity_, Entry{entry_, uses_, denies_, device});
    return std::nullopt;
}

Result<FileLock> FileLock::reserve(const core::FileIdentity& identity, Claim claim,
                                   const std::string& path, const std::string& device,
                                   std::chrono::milliseconds patience) {
    FileLock lock;
    lock.identity_ = identity;
    lock.uses_ = bit(kConsistentRead);
    if (claim.write) {
        lock.uses_ |= bit(kWrite) | bit(kResize);
    }
    if (!claim.share_write) {
        lock.denies_ = bit(kWrite) | bit(kResize);
    }
    const auto deadline = Clock::now() + patience;
    for (;;) {
        const std::optional<std::string> other = lock.enter(device);
        if (!other) {
            return lock;
        }
        if (!other->empty()) {
            return failure(EBUSY, fmt::format("{} is already served as {}", path, *other));
        }
        if (Clock::now() >= deadline) {
            return failure(EBUSY, path + " is already open in this daemon");
        }
        std::this_thread::sleep_for(kPause);
    }
}

Status FileLock::lock(int fd, const std::string& path, std::chrono::milliseconds patience) {
    const auto deadline = Clock::now() + patience;
    for (;;) {
        unsigned permission = kPermissions;
        const int error = try_lock(fd, uses_, denies_, &permission);
        if (error == 0) {
            return {};
        }
        if (error != EBUSY) {
            core::log(core::LogLevel::kWarning, {},
                      "{}: its file system has no locks ({}); nothing keeps other programs away",
                      path, std::generic_category().message(error));
            return {};
        }
        if (Clock::now() >= deadline) {
            return failure(EBUSY, fmt::format("{} is in use by another process (its '{}' lock is "
                                              "held)",
                                              path, kNames.at(permission)));
        }
        std::this_thread::sleep_for(kPause);
    }
}

}  // namespace lunkit::host
