// SPDX-License-Identifier: Apache-2.0
// DescriptorStore: who keeps file descriptors open when this process has ended, however it ended,
// and hands them to the next one. Files behave as with one more process that has them open.
#pragma once

#include <string>
#include <vector>

#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::core {

/// Any thread.
class DescriptorStore {
  public:
    virtual ~DescriptorStore() = default;
    struct Kept {
        std::string name;
        UniqueFd fd;  ///< another one for what is kept: it stays so when this one is closed
    };
    /// What was kept when this process began; later calls give nothing.
    [[nodiscard]] virtual std::vector<Kept> take_inherited() = 0;
    /// Keeps the open file of `fd`, which may be closed then, until drop(). `name`: at most 255
    /// printable ASCII characters, none of them a colon. No error where nobody is there to keep it.
    [[nodiscard]] virtual Status keep(const std::string& name, const UniqueFd& fd) = 0;
    /// All that is kept under that name.
    virtual void drop(const std::string& name) = 0;

    DescriptorStore(const DescriptorStore&) = delete;
    DescriptorStore& operator=(const DescriptorStore&) = delete;

  protected:
    DescriptorStore() = default;
};

}  // namespace lunkit::core
