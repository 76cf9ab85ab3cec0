// SPDX-License-Identifier: Apache-2.0
#include "dm_user/target_folder.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "core/dm_user_name.hpp"
#include "core/log.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_user {

namespace {

// A file is these fields, a NUL behind each: format, name, configuration, size, start, read only
// (0 or 1), channels.
constexpr std::string_view kFormat = "lunkit dm-user 1";
constexpr std::size_t kFields = 7;
constexpr std::string_view kSuffix = ".target";
constexpr std::size_t kMostBytes = 8192 + 1024;  // a configuration has a path of 4095 at most

/// No '/' is left of the name, and no two names have one file.
std::string file_name(std::string_view name) {
    std::string file;
    for (const char letter : name) {
        if (letter == '/' || letter == '%') {
            file += fmt::format("%{:02x}", static_cast<unsigned char>(letter));
        } else {
            file += letter;
        }
    }
    return file.append(kSuffix);
}

template <typename Number>
bool parse_number(std::string_view text, Number& number) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc() && stop == end;
}

/// What the file's bytes say, if they are what write() makes.
std::optional<core::NewDevice> parse(std::string_view bytes) {
    std::array<std::string_view, kFields> fields;
    for (std::string_view& field : fields) {
        const std::size_t end = bytes.find('\0');
        if (end == std::string_view::npos) {
            return std::nullopt;
        }
        field = bytes.substr(0, end);
        bytes.remove_prefix(end + 1);
    }
    core::NewDevice target;
    target.name = fields[1];
    target.config = fields[2];
    target.read_only = fields[5] == "1";
    const bool is_whole = fields[0] == kFormat && bytes.empty() &&
                          core::parse_dm_user_name(target.name) == target.name &&
                          parse_number(fields[3], target.size) &&
                          parse_number(fields[4], target.start_sectors512) &&
                          parse_number(fields[6], target.channels);
    return is_whole ? std::optional(std::move(target)) : std::nullopt;
}

}  // namespace

Result<TargetFolder> TargetFolder::open(const std::string& run_dir) {
    TargetFolder folder;
    TRY(folder.records_, core::RecordFolder::open(run_dir, "dm_user"));
    return folder;
}

Status TargetFolder::write(const core::NewDevice& target) const {
    std::string bytes;
    for (const std::string& field :
         {std::string(kFormat), target.name, target.config, fmt::to_string(target.size),
          fmt::to_string(target.start_sectors512), std::string(target.read_only ? "1" : "0"),
          fmt::to_string(target.channels)}) {
        bytes.append(field).push_back('\0');
    }
    if (bytes.size() > kMostBytes) {
        return failure(ENAMETOOLONG, fmt::format("a configuration of {} bytes is too long",
                                                 target.config.size()));
    }
    return records_.write(file_name(target.name), bytes);
}

std::vector<core::NewDevice> TargetFolder::read_all() const {
    std::vector<core::NewDevice> targets;
    const Result<std::vector<std::string>> files = records_.list(kSuffix);
    if (!files) {
        core::log(core::LogLevel::kError, {}, "dm-user targets of the last daemon: {}",
                  files.error().what);
        return targets;
    }
    for (const std::string& name : *files) {
        const Result<std::string> bytes = records_.read(name, kMostBytes);
        const auto target = bytes ? parse(*bytes) : std::nullopt;
        if (target && file_name(target->name) == name) {
            targets.push_back(*target);
        } else {
            core::log(core::LogLevel::kWarning, {}, "{}, ignoring",
                      bytes ? name + " is not of a dm-user target" : bytes.error().what);
        }
    }
    return targets;
}

void TargetFolder::remove(const std::string& name) const {
    records_.remove(file_name(name));
}

}  // namespace lunkit::dm_user
