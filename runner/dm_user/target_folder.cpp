// SPDX-License-Identifier: Apache-2.0
#include "dm_user/target_folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/log.hpp"
#include "core/private_folder.hpp"
#include "dm_user/control_node.hpp"
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

std::unexpected<Error> system_failure(const std::string& what) {
    const int error = errno;
    return failure(error, what + ": " + std::generic_category().message(error));
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
    const bool is_whole =
        fields[0] == kFormat && bytes.empty() && parse_control_name(target.name) == target.name &&
        parse_number(fields[3], target.size) && parse_number(fields[4], target.start_sectors512) &&
        parse_number(fields[6], target.channels);
    return is_whole ? std::optional(std::move(target)) : std::nullopt;
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
    std::string bytes(kMostBytes + 1, '\0');
    const ssize_t got = ::pread(fd.get(), bytes.data(), bytes.size(), 0);
    if (got < 0) {
        return system_failure("cannot read " + name);
    }
    bytes.resize(static_cast<std::size_t>(got));
    return bytes;
}

}  // namespace

Result<TargetFolder> TargetFolder::open(const std::string& run_dir) {
    TargetFolder folder;
    TRY(folder.folder_, core::open_private_folder(run_dir, "dm_user"));
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
    const std::string name = file_name(target.name);
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

std::vector<core::NewDevice> TargetFolder::read_all() const {
    std::vector<core::NewDevice> targets;
    // A description of its own: the position in it is not shared.
    const int again = ::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct CloseFolder {
        void operator()(DIR* folder) const { ::closedir(folder); }
    };
    const std::unique_ptr<DIR, CloseFolder> folder(again < 0 ? nullptr : ::fdopendir(again));
    if (!folder) {
        core::log(core::LogLevel::kError, {}, "cannot read the folder of dm-user targets: {}",
                  std::generic_category().message(errno));
        return targets;
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody else has this stream
    while (const dirent* const entry = ::readdir(folder.get())) {
        const std::string name = entry->d_name;
        if (!name.ends_with(kSuffix)) {
            continue;
        }
        const Result<std::string> bytes = read_file(folder_.get(), name);
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
    (void)::unlinkat(folder_.get(), file_name(name).c_str(), 0);  // it need not be there
}

}  // namespace lunkit::dm_user
