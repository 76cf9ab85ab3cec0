// SPDX-License-Identifier: Apache-2.0
#include "tcmu/configfs.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

#include "core/trimmed.hpp"
#include "lunkit/try.hpp"

namespace lunkit::tcmu {

namespace {

using File = ConfigfsDevice::File;

struct FileName {
    const char* path;  // below the device's folder
    bool required;
};

constexpr std::array<FileName, ConfigfsDevice::kFiles> kNames{{
    {"control", true},
    {"enable", true},
    {"info", true},
    {"attrib/hw_block_size", true},
    {"attrib/hw_max_sectors", true},
    {"attrib/emulate_write_cache", false},
    {"attrib/emulate_pr", false},
    {"attrib/pgr_support", false},
    {"pr/res_holder", false},
    {"attrib/tmr_notification", false},
    {"action/block_dev", false},
    {"action/reset_ring", false},
    {"wwn/vpd_unit_serial", true},
    {"wwn/vendor_id", false},
    {"wwn/product_id", false},
    {"wwn/revision", false},
    {"wwn/company_id", false},
    {"statistics/scsi_dev/indx", false},
}};

const FileName& name_of(File file) {
    return kNames[std::to_underlying(file)];
}

std::string reason(int error) {
    return std::generic_category().message(error);
}

Result<std::uint64_t> parse_number(std::string_view text, std::string_view what) {
    std::uint64_t number = 0;
    text = core::trimmed(text);
    int base = 10;
    if (text.starts_with("0x")) {
        text.remove_prefix(2);
        base = 16;
    }
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return failure(EPROTO, fmt::format("{} is no number: '{}'", what, text));
    }
    return number;
}

Result<std::string> read_all(int fd, std::string_view what) {
    std::array<char, 4096> buffer{};  // an attribute has at most a page
    std::string text;
    while (true) {
        const ssize_t got = ::read(fd, buffer.data(), buffer.size());
        if (got == 0) {
            return text;
        }
        if (got < 0 && errno != EINTR) {
            return failure(errno, fmt::format("cannot read {}: {}", what, reason(errno)));
        }
        text.append(buffer.data(), got < 0 ? 0 : static_cast<std::size_t>(got));
    }
}

Status write_all(int fd, std::string_view text, std::string_view what) {
    // One write: an attribute takes its value whole.
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put != static_cast<ssize_t>(text.size())) {
        const int error = put < 0 ? errno : EIO;
        return failure(error,
                       fmt::format("cannot write '{}' to {}: {}", text, what, reason(error)));
    }
    return {};
}

// "Config: X Size: N ...": the number behind the last `key`, as X may hold anything.
Result<std::uint64_t> number_behind(std::string_view text, std::string_view key) {
    const std::size_t at = text.rfind(key);
    if (at == std::string_view::npos) {
        return failure(ENOENT, fmt::format("no '{}' in the device's info", core::trimmed(key)));
    }
    std::string_view rest = text.substr(at + key.size());
    return parse_number(rest.substr(0, rest.find_first_of(" \n")), core::trimmed(key));
}

}  // namespace

Result<DeviceInfoText> DeviceInfoText::parse(std::string_view text) {
    DeviceInfoText info;
    TRY(info.size, number_behind(text, " Size: "));
    const Result<std::uint64_t> area = number_behind(text, " MaxDataAreaMB: ");
    info.max_data_area_mb = area ? *area : 0;
    return info;
}

Result<ConfigfsDevice> ConfigfsDevice::open(const KernelPaths& paths, const DeviceName& name) {
    ConfigfsDevice device;
    device.folder_ = fmt::format("{}/target/core/{}", paths.configfs, name.folder());
    for (std::size_t i = 0; i < kFiles; ++i) {
        const std::string path = fmt::format("{}/{}", device.folder_, kNames[i].path);
        device.files_[i].reset(::open(path.c_str(), O_PATH | O_CLOEXEC));
        if (!device.files_[i] && (kNames[i].required || errno != ENOENT)) {
            return failure(errno, fmt::format("cannot open {}: {}", path, reason(errno)));
        }
    }
    return device;
}

bool ConfigfsDevice::has(File file) const {
    return static_cast<bool>(files_[std::to_underlying(file)]);
}

Result<std::string> ConfigfsDevice::read(File file) const {
    const std::string what = fmt::format("{}/{}", folder_, name_of(file).path);
    if (!has(file)) {
        return failure(ENOENT, fmt::format("this kernel has no {}", what));
    }
    const std::string again =
        fmt::format("/proc/self/fd/{}", files_[std::to_underlying(file)].get());
    const UniqueFd fd(::open(again.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        return failure(errno, fmt::format("cannot open {}: {}", what, reason(errno)));
    }
    TRY(std::string text, read_all(fd.get(), what));
    if (text.ends_with('\n')) {
        text.pop_back();
    }
    return text;
}

Result<std::uint64_t> ConfigfsDevice::read_number(File file) const {
    TRY(const std::string text, read(file));
    return parse_number(text, fmt::format("{}/{}", folder_, name_of(file).path));
}

Status ConfigfsDevice::write(File file, std::string_view text) const {
    const std::string what = fmt::format("{}/{}", folder_, name_of(file).path);
    if (!has(file)) {
        return failure(ENOENT, fmt::format("this kernel has no {}", what));
    }
    const std::string again =
        fmt::format("/proc/self/fd/{}", files_[std::to_underlying(file)].get());
    const UniqueFd fd(::open(again.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) {
        return failure(errno, fmt::format("cannot open {}: {}", what, reason(errno)));
    }
    return write_all(fd.get(), text, what);
}

Result<bool> ConfigfsDevice::is_enabled() const {
    TRY(const std::uint64_t enabled, read_number(File::kEnable));
    return enabled != 0;
}

Result<std::uint32_t> ConfigfsDevice::device_id() const {
    TRY(const std::uint64_t index, read_number(File::kIndex));
    return static_cast<std::uint32_t>(index);
}

// The kernel says "No SPC-3 Reservation holder", "No SPC-2 Reservation holder", or who it is; or
// that it leaves reservations to the backstore, "Passthrough", or has none, "SPC_RESERVATIONS_
// DISABLED": our units have none of their own.
bool ConfigfsDevice::is_reserved() const {
    const Result<std::string> holder = read(File::kReservationHolder);
    if (!holder) {
        return true;
    }
    const std::string_view text = core::trimmed(*holder);
    return !text.starts_with("No ") && text != "Passthrough" && text != "SPC_RESERVATIONS_DISABLED";
}

// "T10 VPD Unit Serial Number: X"
std::string ConfigfsDevice::serial() const {
    const Result<std::string> text = read(File::kUnitSerial);
    const std::string_view line = text ? core::trimmed(*text) : std::string_view();
    const std::size_t colon = line.find(": ");
    if (colon != std::string_view::npos) {
        return std::string(line.substr(colon + 2));
    }
    return line.ends_with(':') ? std::string() : std::string(line);
}

scsi::Identity ConfigfsDevice::identity() const {
    scsi::Identity identity;
    const auto take = [this](File file, std::string& field) {
        if (const Result<std::string> text = read(file); text && !core::trimmed(*text).empty()) {
            field = std::string(core::trimmed(*text));
        }
    };
    take(File::kVendorId, identity.vendor);
    take(File::kProductId, identity.product);
    take(File::kRevision, identity.revision);
    identity.serial = serial();
    if (const Result<std::uint64_t> company = read_number(File::kCompanyId);
        company && *company != 0) {
        identity.company_id = static_cast<std::uint32_t>(*company);
    }
    return identity;
}

Status ConfigfsDevice::write_size(std::uint64_t bytes) const {
    return write(File::kControl, fmt::format("dev_size={}", bytes));
}

Status ConfigfsDevice::reset_ring() const {
    CHECK(write(File::kBlockDev, "1"));
    const Status reset = write(File::kResetRing, "1");
    CHECK(write(File::kBlockDev, "0"));
    return reset;
}

Result<bool> ConfigfsDevice::unblock() const {
    if (!has(File::kBlockDev)) {
        return false;
    }
    TRY(const std::string state, read(File::kBlockDev));
    if (core::trimmed(state) != "blocked") {
        return false;
    }
    CHECK(write(File::kBlockDev, "0"));
    return true;
}

Status write_parameter(const KernelPaths& paths, std::string_view name, std::string_view value) {
    const std::string path = fmt::format("{}/{}", paths.parameters, name);
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) {
        return failure(errno, fmt::format("cannot open {}: {}", path, reason(errno)));
    }
    return write_all(fd.get(), value, path);
}

}  // namespace lunkit::tcmu
