// SPDX-License-Identifier: Apache-2.0
#include "control/systemd_store.hpp"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <utility>

namespace lunkit::control {
namespace {

constexpr std::size_t kLongestName = 255;

std::optional<std::size_t> room_of_store() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread
    const char* const text = std::getenv("FDSTORE");
    std::size_t room = 0;
    const std::string_view digits(text == nullptr ? "" : text);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), room);
    if (error != std::errc() || end != digits.data() + digits.size()) {
        return std::nullopt;
    }
    return room;
}

}  // namespace

SystemdStore::SystemdStore() : room_(room_of_store()) {
    char** names = nullptr;
    const int count = ::sd_listen_fds_with_names(1, &names);
    for (int i = 0; i < count; ++i) {
        inherited_.push_back({names[i], UniqueFd(SD_LISTEN_FDS_START + i)});
        names_.insert(names[i]);
        std::free(names[i]);
    }
    std::free(static_cast<void*>(names));  // none, where systemd has passed nothing
}

std::vector<core::DescriptorStore::Kept> SystemdStore::take_inherited() {
    return std::exchange(inherited_, {});
}

Status SystemdStore::keep(const std::string& name, const UniqueFd& fd) {
    if (name.size() > kLongestName) {
        return failure(ENAMETOOLONG, "systemd keeps nothing with so long a name");
    }
    const std::lock_guard lock(mutex_);
    if (room_ && names_.size() >= *room_) {
        return failure(ENOSPC, fmt::format("systemd keeps {} files open and no more "
                                           "(FileDescriptorStoreMax= of the unit)",
                                           *room_));
    }
    const int number = fd.get();
    const int sent = ::sd_pid_notify_with_fds(
        0, 0, fmt::format("FDSTORE=1\nFDNAME={}", name).c_str(), &number, 1);
    if (sent < 0) {
        return failure(-sent, fmt::format("systemd cannot be asked to keep a file open: {}",
                                          std::generic_category().message(-sent)));
    }
    names_.insert(name);
    return {};
}

void SystemdStore::drop(const std::string& name) {
    const std::lock_guard lock(mutex_);
    names_.erase(name);
    // Should it not arrive, systemd has gone.
    (void)::sd_notify(0, fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name).c_str());
}

}  // namespace lunkit::control
