// SPDX-License-Identifier: Apache-2.0
#include "control/device_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <span>
#include <system_error>
#include <utility>

#include "control/value_text.hpp"
#include "core/dm_user_name.hpp"
#include "lunkit/try.hpp"

namespace lunkit::control {
namespace {

using core::NewDevice;

enum class Need : std::uint8_t {
    kOptional,
    kRequired,
    kUnique,  ///< required, and no two devices of the front end may have the same
};

/// A key of a group.
struct DeviceKey {
    std::string_view group;
    std::string_view key;
    Need need;
    Status (*take)(NewDevice& device, std::string_view text);
};

Status take_config(NewDevice& device, std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos || slash == 0) {
        return failure(EINVAL,
                       fmt::format("'{}' is not <handler>/<path or name>[;key=value]...", text));
    }
    device.config = std::string(text);
    return {};
}

Status take_ublk_number(NewDevice& device, std::string_view text) {
    constexpr std::uint64_t kMost = (1U << 20U) - 1;  // minor numbers
    std::uint32_t number = 0;
    CHECK(parse_number(text, 0, kMost, number));
    device.number = number;
    return {};
}

Status take_dm_user_name(NewDevice& device, std::string_view text) {
    TRY(device.name, core::parse_dm_user_name(text));
    return {};
}

Status take_dm_user_start(NewDevice& device, std::string_view text) {
    constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max() >> 9U;
    return parse_number(text, 0, kMost, device.start_sectors512);
}

Status take_dm_user_channels(NewDevice& device, std::string_view text) {
    constexpr std::uint64_t kMost = 64;
    return parse_number(text, 1, kMost, device.channels);
}

Status take_size(NewDevice& device, std::string_view text) {
    return parse_size(text, device.size);
}

Status take_block_size(NewDevice& device, std::string_view text) {
    constexpr std::array kSizes = {
        Word<std::uint32_t>{"512", 512},
        Word<std::uint32_t>{"1024", 1024},
        Word<std::uint32_t>{"2048", 2048},
        Word<std::uint32_t>{"4096", 4096},
    };
    return parse_word(kSizes, text, device.block_size);
}

Status take_read_only(NewDevice& device, std::string_view text) {
    return parse_word(kBooleans, text, device.read_only);
}

Status take_ublk_queues(NewDevice& device, std::string_view text) {
    constexpr std::uint64_t kMost = 4096;
    return parse_number(text, 1, kMost, device.queues);
}

constexpr std::array kTable = {
    DeviceKey{"ublk", "config", Need::kRequired, take_config},
    DeviceKey{"ublk", "number", Need::kUnique, take_ublk_number},
    DeviceKey{"ublk", "size", Need::kOptional, take_size},
    DeviceKey{"ublk", "block_size", Need::kOptional, take_block_size},
    DeviceKey{"ublk", "read_only", Need::kOptional, take_read_only},
    DeviceKey{"ublk", "queues", Need::kOptional, take_ublk_queues},
    DeviceKey{"dm-user", "config", Need::kRequired, take_config},
    DeviceKey{"dm-user", "name", Need::kUnique, take_dm_user_name},
    DeviceKey{"dm-user", "size", Need::kOptional, take_size},
    DeviceKey{"dm-user", "start", Need::kOptional, take_dm_user_start},
    DeviceKey{"dm-user", "read_only", Need::kOptional, take_read_only},
    DeviceKey{"dm-user", "channels", Need::kOptional, take_dm_user_channels},
};

/// What DeclaredDevice::awaited_node says.
std::string awaited_node_of(std::string_view group, const NewDevice& device) {
    return group == "dm-user" ? core::dm_user_node(device.name) : "";
}

const DeviceKey* find_row(std::string_view group, std::string_view key) {
    const auto row = std::ranges::find_if(
        kTable, [&](const DeviceKey& r) { return r.group == group && r.key == key; });
    return row == kTable.end() ? nullptr : &*row;
}

/// One file.
class Taker final : public KeyFileTaker {
  public:
    explicit Taker(std::span<const DeclaredDevice> others) : others_(others) {}

    [[nodiscard]] bool knows_group(std::string_view group) const override {
        return std::ranges::find(kTable, group, &DeviceKey::group) != kTable.end();
    }
    [[nodiscard]] std::string unknown_key(std::string_view group,
                                          std::string_view key) const override {
        return find_row(group, key) != nullptr ? "" : fmt::format("'{}' in [{}]", key, group);
    }
    Status take(std::string_view group, std::string_view key, std::string_view value) override {
        const DeviceKey& row = *find_row(group, key);
        given_.insert(row.key);
        CHECK(row.take(device_, value));
        return row.need == Need::kUnique ? check_unique(row, value) : Status();
    }
    Status end_group(std::string_view group) override {
        const std::set<std::string_view> given = std::exchange(given_, {});
        devices.push_back({.file = {},
                           .front_end = std::string(group),
                           .wanted = device_,
                           .awaited_node = awaited_node_of(group, device_)});
        device_ = {};
        for (const DeviceKey& row : kTable) {
            if (row.group == group && row.need != Need::kOptional && !given.contains(row.key)) {
                return failure(EINVAL, fmt::format("[{}] lacks its {}", group, row.key));
            }
        }
        return {};
    }

    std::vector<DeclaredDevice> devices;

  private:
    /// Values of the key are compared as the devices that they make.
    [[nodiscard]] Status check_unique(const DeviceKey& row, std::string_view value) const {
        NewDevice this_one;
        CHECK(row.take(this_one, value));
        for (const DeclaredDevice& other : others_) {
            NewDevice changed = other.wanted;
            CHECK(row.take(changed, value));
            if (other.front_end == row.group && changed == other.wanted) {
                return failure(EEXIST, fmt::format("{} has the same", other.file));
            }
        }
        return {};
    }

    const std::span<const DeclaredDevice> others_;
    NewDevice device_;                  // of the group that is read
    std::set<std::string_view> given_;  // its keys
};

bool is_device_file(const std::filesystem::directory_entry& entry) {
    std::error_code error;
    return entry.path().extension() == ".conf" &&
           !entry.path().filename().native().starts_with('.') && !entry.is_directory(error);
}

}  // namespace

void parse_device_file(std::string_view text, const std::string& file, DeclaredDevices& found) {
    Taker taker(found.devices);
    KeyFileErrors errors = parse_key_file(text, file, taker);
    if (!errors.empty()) {
        std::ranges::move(errors, std::back_inserter(found.errors));
        return;
    }
    for (DeclaredDevice& device : taker.devices) {
        device.file = file;
        found.devices.push_back(std::move(device));
    }
}

DeclaredDevices read_device_files(const std::string& folder) {
    DeclaredDevices found;
    std::vector<std::string> files;
    std::error_code error;
    std::filesystem::directory_iterator entries(folder, error);
    while (!error && entries != std::filesystem::directory_iterator()) {
        if (is_device_file(*entries)) {
            files.push_back(entries->path());
        }
        entries.increment(error);
    }
    if (error && error != std::errc::no_such_file_or_directory) {
        found.errors.push_back(fmt::format("{}: {}", folder, error.message()));
    }
    std::ranges::sort(files);
    for (const std::string& file : files) {
        if (const auto text = read_key_file(file)) {
            parse_device_file(*text, file, found);
        } else {
            found.errors.push_back(text.error().what);
        }
    }
    return found;
}

}  // namespace lunkit::control
