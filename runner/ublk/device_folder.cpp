// SPDX-License-Identifier: Apache-2.0
#include "ublk/device_folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/log.hpp"
#include "core/private_folder.hpp"
#include "lunkit/try.hpp"

namespace lunkit::ublk {

namespace {

constexpr std::uint64_t kMagic = 0x6c6b2d75626c6b31;  // "lk-ublk1"
constexpr std::string_view kSuffix = ".device";
constexpr std::size_t kIdentityDigits = 16;
constexpr std::size_t kMostConfig = 8192;  // bytes; a path has 4095 at most

/// A file: this, and the configuration behind it.
struct FileHead {
    std::uint64_t magic;
    std::uint64_t identity;
    std::uint64_t size;
    std::uint32_t block_size;
    std::uint32_t read_only;
    std::uint64_t config_length;
};
static_assert(sizeof(FileHead) == 40);

std::string file_name(std::uint64_t identity) {
    return fmt::format("{:016x}{}", identity, kSuffix);
}

std::string mark_name(std::uint64_t identity) {
    return fmt::format("{:016x}.fetching", identity);
}

std::optional<std::uint64_t> identity_of(std::string_view name) {
    if (name.size() != kIdentityDigits + kSuffix.size() || !name.ends_with(kSuffix)) {
        return std::nullopt;
    }
    constexpr int kHex = 16;
    std::uint64_t identity = 0;
    const char* const end = name.data() + kIdentityDigits;
    const auto [stop, error] = std::from_chars(name.data(), end, identity, kHex);
    return error == std::errc() && stop == end && identity != 0 ? std::optional(identity)
                                                                : std::nullopt;
}

std::unexpected<Error> system_failure(const std::string& what) {
    const int error = errno;
    return failure(error, what + ": " + std::generic_category().message(error));
}

/// What the file's bytes say, if they are what write() makes.
std::optional<DeviceRecord> parse(std::string_view bytes, std::uint64_t identity) {
    FileHead head{};
    if (bytes.size() <= sizeof head || bytes.size() > sizeof head + kMostConfig) {
        return std::nullopt;
    }
    std::memcpy(&head, bytes.data(), sizeof head);
    const std::string_view config = bytes.substr(sizeof head);
    constexpr std::uint32_t kSmallestBlock = 512;
    constexpr std::uint32_t kLargestBlock = 4096;
    if (head.magic != kMagic || head.identity != identity || head.config_length != config.size() ||
        config.find('\0') != std::string_view::npos || !std::has_single_bit(head.block_size) ||
        head.block_size < kSmallestBlock || head.block_size > kLargestBlock || head.size == 0 ||
        head.size % head.block_size != 0 || head.read_only > 1) {
        return std::nullopt;
    }
    return DeviceRecord{.identity = identity,
                        .config = std::string(config),
                        .size = head.size,
                        .block_size = head.block_size,
                        .read_only = head.read_only != 0};
}

Result<std::string> read_file(int folder, const std::string& name) {
    const UniqueFd fd(
        ::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        return system_failure("cannot open " + name);
    }
    if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid()) {
        return failure(EPERM, name + " is no file of ours");
    }
    std::string bytes(sizeof(FileHead) + kMostConfig + 1, '\0');
    const ssize_t got = ::pread(fd.get(), bytes.data(), bytes.size(), 0);
    if (got < 0) {
        return system_failure("cannot read " + name);
    }
    bytes.resize(static_cast<std::size_t>(got));
    return bytes;
}

}  // namespace

Result<DeviceFolder> DeviceFolder::open(const std::string& run_dir) {
    DeviceFolder folder;
    TRY(folder.folder_, core::open_private_folder(run_dir, "ublk"));
    return folder;
}

Status DeviceFolder::write(const DeviceRecord& record) const {
    const std::string name = file_name(record.identity);
    if (record.config.size() > kMostConfig) {
        return failure(ENAMETOOLONG, fmt::format("a configuration of {} bytes is too long",
                                                 record.config.size()));
    }
    const FileHead head{.magic = kMagic,
                        .identity = record.identity,
                        .size = record.size,
                        .block_size = record.block_size,
                        .read_only = record.read_only ? 1U : 0U,
                        .config_length = record.config.size()};
    std::string bytes(sizeof head, '\0');
    std::memcpy(bytes.data(), &head, sizeof head);
    bytes += record.config;
    // Whenever the daemon dies, one of the two is there.
    const std::string fresh = name + ".new";
    (void)::unlinkat(folder_.get(), fresh.c_str(), 0);  // it need not be there
    const UniqueFd fd(::openat(folder_.get(), fresh.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) {
        return system_failure("cannot make " + fresh);
    }
    if (::pwrite(fd.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()) ||
        ::renameat(folder_.get(), fresh.c_str(), folder_.get(), name.c_str()) != 0) {
        const auto error = system_failure("cannot write " + name);
        (void)::unlinkat(folder_.get(), fresh.c_str(), 0);  // it is of no use
        return error;
    }
    return {};
}

std::vector<DeviceRecord> DeviceFolder::read_all() const {
    std::vector<DeviceRecord> records;
    // A description of its own: the position in it is not shared.
    const int again = ::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct CloseFolder {
        void operator()(DIR* folder) const { ::closedir(folder); }
    };
    const std::unique_ptr<DIR, CloseFolder> folder(again < 0 ? nullptr : ::fdopendir(again));
    if (!folder) {
        core::log(core::LogLevel::kError, {}, "cannot read the folder of ublk devices: {}",
                  std::generic_category().message(errno));
        return records;
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this stream
    while (const dirent* const entry = ::readdir(folder.get())) {
        const std::string name = entry->d_name;
        const std::optional<std::uint64_t> identity = identity_of(name);
        if (!identity) {
            continue;
        }
        const Result<std::string> bytes = read_file(folder_.get(), name);
        if (const auto record = bytes ? parse(*bytes, *identity) : std::nullopt) {
            records.push_back(*record);
        } else {
            core::log(core::LogLevel::kWarning, {}, "{}, ignoring",
                      bytes ? name + " is not a record of a ublk device" : bytes.error().what);
        }
    }
    return records;
}

Status DeviceFolder::mark_fetching(std::uint64_t identity) const {
    const std::string name = mark_name(identity);
    const UniqueFd fd(
        ::openat(folder_.get(), name.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) {
        return system_failure("cannot make " + name);
    }
    return {};
}

bool DeviceFolder::is_fetching(std::uint64_t identity) const {
    return ::faccessat(folder_.get(), mark_name(identity).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void DeviceFolder::unmark_fetching(std::uint64_t identity) const {
    (void)::unlinkat(folder_.get(), mark_name(identity).c_str(), 0);  // it need not be there
}

void DeviceFolder::remove(std::uint64_t identity) const {
    unmark_fetching(identity);
    (void)::unlinkat(folder_.get(), file_name(identity).c_str(), 0);  // it need not be there
}

Result<std::uint64_t> new_identity() {
    std::uint64_t identity = 0;
    while (identity == 0) {
        if (::getrandom(&identity, sizeof identity, 0) != sizeof identity) {
            return system_failure("no random numbers");
        }
    }
    return identity;
}

}  // namespace lunkit::ublk
