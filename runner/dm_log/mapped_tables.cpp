// SPDX-License-Identifier: Apache-2.0
#include "dm_log/mapped_tables.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <system_error>

#include "core/system_failure.hpp"
#include "lunkit/try.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::dm_log {

namespace {

constexpr const char* kControl = "/dev/mapper/control";
constexpr std::size_t kFirstRoom = std::size_t{64} << 10U;
constexpr std::size_t kMostRoom = std::size_t{16} << 20U;

/// An ioctl of device-mapper with its answer: struct dm_ioctl and what stands behind it.
class Command {
  public:
    /// `device`: its number as device-mapper has it; 0: none.
    Command(int fd, unsigned long op, std::uint32_t flags, std::uint64_t device)
        : fd_(fd), op_(op), flags_(flags), device_(device) {}

    Status run() {
        for (std::size_t room = kFirstRoom; room <= kMostRoom; room *= 4) {
            bytes_.assign(room, std::byte{0});
            dm_ioctl head{};
            head.version[0] = DM_VERSION_MAJOR;
            head.data_size = static_cast<std::uint32_t>(room);
            head.data_start = sizeof head;
            head.flags = flags_;
            head.dev = device_;
            std::memcpy(bytes_.data(), &head, sizeof head);
            if (::ioctl(fd_, op_, bytes_.data()) != 0) {
                const int error = errno;
                return failure(
                    error, fmt::format("{}: {}", kControl, std::generic_category().message(error)));
            }
            std::memcpy(&head_, bytes_.data(), sizeof head_);
            if ((head_.flags & DM_BUFFER_FULL_FLAG) == 0) {
                return {};
            }
        }
        return failure(ENOBUFS, "device-mapper has more to tell than there is room for");
    }
    [[nodiscard]] std::size_t targets() const { return head_.target_count; }
    [[nodiscard]] std::span<const std::byte> data() const {
        const std::size_t end = std::min<std::size_t>(head_.data_size, bytes_.size());
        const std::size_t start = std::min<std::size_t>(head_.data_start, end);
        return std::span(bytes_).subspan(start, end - start);
    }

  private:
    const int fd_;
    const unsigned long op_;
    const std::uint32_t flags_;
    const std::uint64_t device_;
    std::vector<std::byte> bytes_;
    dm_ioctl head_{};
};

/// A text that ends with a NUL, or with the data.
std::string_view text_at(std::span<const std::byte> data, std::size_t offset) {
    const auto* const begin = reinterpret_cast<const char*>(data.data());
    const std::string_view all(begin, data.size());
    return all.substr(offset, all.find('\0', offset) - offset);
}

/// "userspace <#args> <uuid> ...": the uuid.
std::optional<std::string_view> uuid_in(std::string_view arguments) {
    constexpr std::string_view kType = "userspace ";
    if (!arguments.starts_with(kType)) {
        return std::nullopt;
    }
    arguments.remove_prefix(kType.size());
    const std::size_t begin = arguments.find(' ');
    if (begin == std::string_view::npos) {
        return std::nullopt;
    }
    arguments.remove_prefix(begin + 1);
    return arguments.substr(0, arguments.find(' '));
}

}  // namespace

std::vector<std::uint64_t> parse_devices(std::span<const std::byte> data) {
    std::vector<std::uint64_t> devices;
    std::size_t offset = 0;
    while (offset + sizeof(dm_name_list) <= data.size()) {
        dm_name_list entry{};
        std::memcpy(&entry, data.data() + offset, sizeof entry);
        if (entry.dev != 0) {
            devices.push_back(entry.dev);
        }
        if (entry.next == 0) {
            break;
        }
        offset += entry.next;
    }
    return devices;
}

void parse_table(std::span<const std::byte> data, std::size_t targets, LogUuids& uuids) {
    std::size_t offset = 0;
    for (; targets > 0 && offset + sizeof(dm_target_spec) < data.size(); --targets) {
        dm_target_spec target{};
        std::memcpy(&target, data.data() + offset, sizeof target);
        if (std::string_view(target.target_type,
                             strnlen(target.target_type, sizeof target.target_type)) == "mirror") {
            if (const auto uuid = uuid_in(text_at(data, offset + sizeof target))) {
                uuids.emplace(*uuid);
            }
        }
        if (target.next <= offset) {
            break;
        }
        offset = target.next;  // counts from the first
    }
}

Result<LogUuids> uuids_in_tables() {
    const UniqueFd control(::open(kControl, O_RDWR | O_CLOEXEC));
    if (!control) {
        return core::system_failure(kControl);
    }
    Command list(control.get(), DM_LIST_DEVICES, 0, 0);
    CHECK(list.run());
    LogUuids uuids;
    // By their numbers: the name of one may change before it is asked for.
    for (const std::uint64_t device : parse_devices(list.data())) {
        for (const std::uint32_t which : {0U, unsigned{DM_QUERY_INACTIVE_TABLE_FLAG}}) {
            Command table(control.get(), DM_TABLE_STATUS,
                          DM_STATUS_TABLE_FLAG | DM_NOFLUSH_FLAG | which, device);
            const Status asked = table.run();
            if (asked) {
                parse_table(table.data(), table.targets(), uuids);
            } else if (asked.error().code != ENXIO) {  // it has gone meanwhile
                return std::unexpected(asked.error());
            }
        }
    }
    return uuids;
}

}  // namespace lunkit::dm_log
