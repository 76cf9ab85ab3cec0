// SPDX-License-Identifier: Apache-2.0
#include "tcmu/uio.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "lunkit/try.hpp"

namespace lunkit::tcmu {

namespace {

Result<std::string> read_attribute(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 1024> buffer{};  // a name has at most some 600 bytes
    const ssize_t got = fd ? ::read(fd.get(), buffer.data(), buffer.size()) : -1;
    if (got < 0) {
        return failure(
            errno, fmt::format("cannot read {}: {}", path, std::generic_category().message(errno)));
    }
    std::string text(buffer.data(), static_cast<std::size_t>(got));
    if (text.ends_with('\n')) {
        text.pop_back();
    }
    return text;
}

template <typename T>
bool parse_whole(std::string_view text, T& number, int base = 10) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    return error == std::errc{} && end == text.data() + text.size();
}

Result<std::size_t> map_size(const KernelPaths& paths, std::uint32_t minor) {
    const std::string path = fmt::format("{}/uio{}/maps/map0/size", paths.uio_class, minor);
    TRY(const std::string text, read_attribute(path));
    std::size_t size = 0;
    if (!text.starts_with("0x") || !parse_whole(std::string_view(text).substr(2), size, 16)) {
        return failure(EPROTO, fmt::format("{} says '{}'", path, text));
    }
    return size;
}

}  // namespace

Result<std::vector<UioDevice>> list_uio_devices(const KernelPaths& paths) {
    std::vector<UioDevice> devices;
    std::error_code error;
    std::filesystem::directory_iterator entry(paths.uio_class, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        const std::string file = entry->path().filename();
        UioDevice device;
        if (!file.starts_with("uio") ||
            !parse_whole(std::string_view(file).substr(3), device.minor)) {
            continue;
        }
        device.node = sysfs_inode(paths, device.minor);  // before the name, so never a later one's
        const Result<std::string> text = read_attribute(entry->path() / "name");
        std::optional<DeviceName> name = text ? DeviceName::parse(*text) : std::nullopt;
        if (name) {  // else another driver's, or just gone
            device.name = *std::move(name);
            devices.push_back(std::move(device));
        }
    }
    if (error && error != std::errc::no_such_file_or_directory) {
        return failure(error.value(),
                       fmt::format("cannot list {}: {}", paths.uio_class, error.message()));
    }
    std::ranges::sort(devices, {}, &UioDevice::minor);
    return devices;
}

std::uint64_t sysfs_inode(const KernelPaths& paths, std::uint32_t minor) {
    struct stat status{};
    const std::string path = fmt::format("{}/uio{}", paths.uio_class, minor);  // a link in sysfs
    return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

bool is_there(const KernelPaths& paths, const UioDevice& device) {
    return device.node != 0 && sysfs_inode(paths, device.minor) == device.node;
}

Result<UioNode> open_uio(const KernelPaths& paths, std::uint32_t minor,
                         std::chrono::milliseconds patience) {
    const std::string path = fmt::format("{}/uio{}", paths.dev, minor);
    const auto deadline = std::chrono::steady_clock::now() + patience;
    UioNode node;
    while (true) {
        node.fd.reset(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
        if (node.fd) {
            break;
        }
        const int error = errno;
        const bool may_pass = error == EBUSY || error == ENOENT || error == EINTR;
        if (!may_pass || std::chrono::steady_clock::now() >= deadline) {
            return failure(error, error == EBUSY
                                      ? fmt::format("{} is in use by another process", path)
                                      : fmt::format("cannot open {}: {}", path,
                                                    std::generic_category().message(error)));
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    TRY(const std::size_t size, map_size(paths, minor));
    TRY(node.map, core::MemoryMapping::of_file(node.fd.get(), size, path));
    return node;
}

}  // namespace lunkit::tcmu
