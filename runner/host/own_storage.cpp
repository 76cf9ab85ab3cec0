// SPDX-License-Identifier: Apache-2.0
#include "host/own_storage.hpp"

#include <fmt/format.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <system_error>
#include <utility>

namespace lunkit::host {

namespace {

namespace fs = std::filesystem;

/// Where what has this status is stored.
dev_t device_of(const struct stat& status) {
    return S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev;
}

/// From a device down to all that it lies on. A folder that is not there, or goes meanwhile, is the
/// end of that way.
class Descent {
  public:
    explicit Descent(const std::string& sysfs) : numbers_(fs::path(sysfs) / "dev/block") {}

    void from(dev_t device) {
        enter(numbers_ / fmt::format("{}:{}", major(device), minor(device)));
    }
    std::vector<std::string> disks;

  private:
    void enter(const fs::path& link) {
        std::error_code error;
        fs::path folder = fs::canonical(link, error);
        if (error) {
            return;
        }
        if (fs::exists(folder / "partition", error)) {
            folder = folder.parent_path();
        }
        if (std::ranges::find(disks, folder.filename().string()) != disks.end()) {
            return;
        }
        disks.push_back(folder.filename());
        for (const auto& slave : fs::directory_iterator(folder / "slaves", error)) {
            enter(slave.path());
        }
        std::string file;
        struct stat status{};
        if (std::getline(std::ifstream(folder / "loop/backing_file"), file) &&
            ::stat(file.c_str(), &status) == 0) {
            from(device_of(status));
        }
    }
    const fs::path numbers_;
};

struct Watch {
    OwnStorage::Serves serves;
    std::string sysfs;
};

std::shared_mutex& watch_mutex() {
    static std::shared_mutex mutex;
    return mutex;
}
std::optional<Watch>& watch() {
    static std::optional<Watch> present;  // under watch_mutex()
    return present;
}

}  // namespace

std::vector<std::string> disks_below(dev_t device, const std::string& sysfs) {
    Descent descent(sysfs);
    descent.from(device);
    return std::move(descent.disks);
}

OwnStorage::OwnStorage(Serves serves, std::string sysfs) {
    const std::unique_lock lock(watch_mutex());
    watch() = Watch{.serves = std::move(serves), .sysfs = std::move(sysfs)};
}

OwnStorage::~OwnStorage() {
    const std::unique_lock lock(watch_mutex());
    watch().reset();
}

Status check_not_own(const struct stat& status, const std::string& path) {
    const std::shared_lock lock(watch_mutex());
    if (!watch()) {
        return {};
    }
    const std::vector<std::string> disks = disks_below(device_of(status), watch()->sysfs);
    const auto own = std::ranges::find_if(disks, watch()->serves);
    if (own == disks.end()) {
        return {};
    }
    // The first is the device itself, or its disk.
    const bool is_itself = S_ISBLK(status.st_mode) && own == disks.begin();
    return failure(EDEADLK, is_itself ? path + " is served by this daemon"
                                      : fmt::format("{} lies on {}, which is served by this daemon",
                                                    path, *own));
}

}  // namespace lunkit::host
