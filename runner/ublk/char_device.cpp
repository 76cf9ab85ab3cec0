// SPDX-License-Identifier: Apache-2.0
#include "ublk/char_device.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "lunkit/try.hpp"

namespace lunkit::ublk {

namespace {

constexpr std::chrono::milliseconds kOpenPause{50};
constexpr int kOpenAttempts = 40;

Result<UniqueFd> open_node(const std::string& path) {
    for (int attempt = 1;; ++attempt) {
        UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
        if (fd) {
            return fd;
        }
        if (errno != EBUSY || attempt == kOpenAttempts) {
            return failure(errno, fmt::format("cannot open {}", path));
        }
        std::this_thread::sleep_for(kOpenPause);
    }
}

}  // namespace

Result<CharDevice> CharDevice::open(const std::string& path) {
    CharDevice device;
    device.path_ = path;
    TRY(device.fd_, open_node(path));
    return device;
}

Status CharDevice::map(std::uint16_t queue_depth) {
    // The driver wants exactly the pages that hold the descriptors.
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t bytes = queue_depth * sizeof(abi::IoDescriptor);
    TRY(map_,
        core::MemoryMapping::of_file_read_only(fd_.get(), (bytes + page - 1) / page * page, path_));
    queue_depth_ = queue_depth;
    return {};
}

std::span<const abi::IoDescriptor> CharDevice::descriptors() const {
    return {reinterpret_cast<const abi::IoDescriptor*>(map_.bytes().data()), queue_depth_};
}

}  // namespace lunkit::ublk
