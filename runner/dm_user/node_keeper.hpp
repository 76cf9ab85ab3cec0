// SPDX-License-Identifier: Apache-2.0
// NodeKeeper: keeps the control nodes of targets open from one daemon to the next, however the
// first one ends. Kernels of today fail the requests of a target whose control node nobody has
// open; those of one that is open, and not read from, wait.
//
// What is kept is an open of its own, and no channel of a worker: what a dead daemon has read on a
// channel and not answered is lost, and fails when that is closed. Kept open, it would wait for
// ever.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/descriptor_store.hpp"
#include "core/file_identity.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::dm_user {

/// Any thread.
class NodeKeeper {
  public:
    virtual ~NodeKeeper() = default;
    /// Requests of the target wait from now on, whoever reads them, until let_go().
    [[nodiscard]] virtual Status hold(const std::string& name) = 0;
    /// It need not be held.
    virtual void let_go(const std::string& name) = 0;
    /// The same, of all targets but these.
    virtual void let_go_of_others(const std::vector<std::string>& names) = 0;

    NodeKeeper(const NodeKeeper&) = delete;
    NodeKeeper& operator=(const NodeKeeper&) = delete;

  protected:
    NodeKeeper() = default;
};

/// Has a DescriptorStore do it; no error where there is none, and nothing waits.
class StoredNodes final : public NodeKeeper {
  public:
    using Open = std::function<Result<UniqueFd>(const std::string& name)>;
    /// Goes on with what the predecessor held. `store` outlives it.
    StoredNodes(core::DescriptorStore& store, Open open);
    [[nodiscard]] Status hold(const std::string& name) override;
    void let_go(const std::string& name) override;
    void let_go_of_others(const std::vector<std::string>& names) override;

  private:
    core::DescriptorStore& store_;
    const Open open_;
    std::mutex mutex_;
    std::map<std::string, core::FileIdentity> held_;  // by their names in the store; under mutex_
};

}  // namespace lunkit::dm_user
