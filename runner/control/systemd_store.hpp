// SPDX-License-Identifier: Apache-2.0
// SystemdStore: systemd's store of file descriptors (FileDescriptorStoreMax= in the unit). It keeps
// them over a restart of the unit and over the daemon's death; a unit that is stopped loses them.
#pragma once

#include <vector>

#include "core/descriptor_store.hpp"

namespace lunkit::control {

class SystemdStore final : public core::DescriptorStore {
  public:
    /// Takes what systemd has passed to this process, while it has one thread.
    SystemdStore();
    [[nodiscard]] std::vector<Kept> take_inherited() override;
    [[nodiscard]] Status keep(const std::string& name, const UniqueFd& fd) override;
    void drop(const std::string& name) override;

  private:
    std::vector<Kept> inherited_;
};

}  // namespace lunkit::control
