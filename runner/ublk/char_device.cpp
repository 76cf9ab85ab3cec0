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

Result<DescriptorMap> CharDevice::map(std::uint16_t queue, std::uint16_t queue_depth) const {
    // The driver wants exactly the pages that hold the descriptors, where those of the queue would
    // be if all had the most tags.
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const auto whole_pages = [page](std::size_t tags) {
        return (tags * sizeof(abi::IoDescriptor) + page - 1) / page * page;
    };
    TRY(core::MemoryMapping map,
        core::MemoryMapping::of_file_read_only(fd_.get(), queue * whole_pages(abi::kMostTags),
                                               whole_pages(queue_depth), path_));
    return DescriptorMap(std::move(map));
}

}  // namespace lunkit::ublk
