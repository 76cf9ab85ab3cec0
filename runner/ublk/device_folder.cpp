// SPDX-License-Identifier: Apache-2.0
#include "ublk/device_folder.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>
#include <system_error>

#include "core/log.hpp"
#include "core/system_failure.hpp"
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

/// What the file's bytes say, if they are what write() makes.
std::optional<DeviceRecord> parse(std::string_view bytes, std::uint64_t identity) {
    FileHead head{};
    if (bytes.size() <= sizeof head) {
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

}  // namespace

Result<DeviceFolder> DeviceFolder::open(const std::string& run_dir) {
    DeviceFolder folder;
    TRY(folder.records_, core::RecordFolder::open(run_dir, "ublk"));
    return folder;
}

Status DeviceFolder::write(const DeviceRecord& record) const {
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
    return records_.write(file_name(record.identity), bytes);
}

std::vector<DeviceRecord> DeviceFolder::read_all() const {
    std::vector<DeviceRecord> records;
    const Result<std::vector<std::string>> files = records_.list(kSuffix);
    if (!files) {
        core::log(core::LogLevel::kError, {}, "ublk devices of the last daemon: {}",
                  files.error().what);
        return records;
    }
    for (const std::string& name : *files) {
        const std::optional<std::uint64_t> identity = identity_of(name);
        if (!identity) {
            continue;
        }
        const Result<std::string> bytes = records_.read(name, sizeof(FileHead) + kMostConfig);
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
    return records_.write(mark_name(identity), {});
}

bool DeviceFolder::is_fetching(std::uint64_t identity) const {
    return records_.has(mark_name(identity));
}

void DeviceFolder::unmark_fetching(std::uint64_t identity) const {
    records_.remove(mark_name(identity));
}

void DeviceFolder::remove(std::uint64_t identity) const {
    unmark_fetching(identity);
    records_.remove(file_name(identity));
}

Result<std::uint64_t> new_identity() {
    std::uint64_t identity = 0;
    while (identity == 0) {
        if (::getrandom(&identity, sizeof identity, 0) != sizeof identity) {
            return core::system_failure("no random numbers");
        }
    }
    return identity;
}

}  // namespace lunkit::ublk
