// SPDX-License-Identifier: Apache-2.0
// SystemdStore: systemd's store of file descriptors (FileDescriptorStoreMax= in the unit). It keeps
// them over a restart of the unit and over the daemon's death; a unit that is stopped loses them.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/descriptor_store.hpp"

namespace lunkit::control {

class SystemdStore final : public core::DescriptorStore {
  public:
    /// Takes what systemd has passed to this process, while it has one thread.
    SystemdStore();
    [[nodiscard]] std::vector<Kept> take_inherited() override;
    /// ENOSPC: it is full, as far as can be known: systemd does not answer, and tells how much it
    /// keeps ($FDSTORE) from version 254 on. An older one only logs it, among the unit's lines.
    [[nodiscard]] Status keep(const std::string& name, const UniqueFd& fd) override;
    void drop(const std::string& name) override;

  private:
    std::vector<Kept> inherited_;
    std::optional<std::size_t> room_;
    std::mutex mutex_;
    std::multiset<std::string> names_;  // of what is kept; under mutex_
};

}  // namespace lunkit::control
