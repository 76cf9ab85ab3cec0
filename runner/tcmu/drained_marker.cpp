// SPDX-License-Identifier: Apache-2.0
#include "tcmu/drained_marker.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

namespace lunkit::tcmu {

namespace {

constexpr std::string_view kHead = "lunkit drained 1";

std::string file_name(std::uint32_t minor) {
    return fmt::format("uio{}.drained", minor);
}

std::unexpected<Error> system_failure(const std::string& what) {
    const int error = errno;
    return failure(error, what + ": " + std::generic_category().message(error));
}

// Takes "<key>=<rest of the line>\n" off the front of `text`.
std::optional<std::string_view> take_line(std::string_view& text, std::string_view key) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos || !text.starts_with(key)) {
        return std::nullopt;
    }
    const std::string_view value = text.substr(key.size(), end - key.size());
    text.remove_prefix(end + 1);
    return value;
}

bool parse_number(std::optional<std::string_view> text, std::uint32_t& number) {
    if (!text) {
        return false;
    }
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    return error == std::errc{} && end == text->data() + text->size();
}

}  // namespace

std::string DrainedMarker::to_text() const {
    return fmt::format("{}\nname={}\ndevice_id={}\ntail={}\n", kHead, name, device_id, tail);
}

std::optional<DrainedMarker> DrainedMarker::parse(std::string_view text) {
    DrainedMarker marker;
    const auto head = take_line(text, kHead);
    const auto name = take_line(text, "name=");
    if (!head || !head->empty() || !name ||
        !parse_number(take_line(text, "device_id="), marker.device_id) ||
        !parse_number(take_line(text, "tail="), marker.tail) || !text.empty()) {
        return std::nullopt;
    }
    marker.name = std::string(*name);
    return marker;
}

Result<MarkerFolder> MarkerFolder::open(const std::string& run_dir) {
    if (::mkdir(run_dir.c_str(), 0755) != 0 && errno != EEXIST) {
        return system_failure("cannot make " + run_dir);
    }
    const UniqueFd parent(::open(run_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!parent) {
        return system_failure("cannot open " + run_dir);
    }
    const std::string path = run_dir + "/tcmu";
    if (::mkdirat(parent.get(), "tcmu", 0700) != 0 && errno != EEXIST) {
        return system_failure("cannot make " + path);
    }
    MarkerFolder folder;
    folder.folder_.reset(
        ::openat(parent.get(), "tcmu", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat status{};
    if (!folder.folder_ || ::fstat(folder.folder_.get(), &status) != 0) {
        return system_failure("cannot open " + path);
    }
    if (status.st_uid != ::geteuid()) {
        return failure(EPERM, path + " belongs to another user");
    }
    if ((status.st_mode & 0077) != 0 && ::fchmod(folder.folder_.get(), 0700) != 0) {
        return system_failure("cannot close " + path + " to others");
    }
    return folder;
}

Status MarkerFolder::write(std::uint32_t minor, const DrainedMarker& marker) const {
    const std::string name = file_name(minor);
    const std::string fresh = name + ".new";
    (void)::unlinkat(folder_.get(), fresh.c_str(), 0);  // left by one that died while writing
    const std::string text = marker.to_text();
    {
        const UniqueFd fd(::openat(folder_.get(), fresh.c_str(),
                                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (!fd ||
            ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
            return system_failure("cannot write " + fresh);
        }
    }
    if (::renameat(folder_.get(), fresh.c_str(), folder_.get(), name.c_str()) != 0) {
        return system_failure("cannot rename " + fresh);
    }
    return {};
}

std::optional<DrainedMarker> MarkerFolder::take(std::uint32_t minor) const {
    const std::string name = file_name(minor);
    const UniqueFd fd(
        ::openat(folder_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    std::array<char, 4096> buffer{};
    const ssize_t got = fd ? ::read(fd.get(), buffer.data(), buffer.size()) : -1;
    if (::unlinkat(folder_.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
        return std::nullopt;  // it would be believed again
    }
    if (got < 0) {
        return std::nullopt;
    }
    return DrainedMarker::parse({buffer.data(), static_cast<std::size_t>(got)});
}

}  // namespace lunkit::tcmu
