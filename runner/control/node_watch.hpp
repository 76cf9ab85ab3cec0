// SPDX-License-Identifier: Apache-2.0
// NodeWatch: tells when files come to be, such as device nodes, in folders that need not be there
// yet either (inotify(7)). Loop thread.
#pragma once

#include <glib.h>

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/file_identity.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::control {

class NodeWatch {
  public:
    using Appeared = std::function<void(const std::string& path)>;
    explicit NodeWatch(Appeared appeared) : appeared_(std::move(appeared)) {}
    NodeWatch(const NodeWatch&) = delete;
    NodeWatch& operator=(const NodeWatch&) = delete;
    NodeWatch(NodeWatch&&) = delete;
    NodeWatch& operator=(NodeWatch&&) = delete;
    ~NodeWatch() { release(); }

    /// From now on `appeared` is told of these absolute paths, and of no others: when something is
    /// there, or another file than before; also from here. Not of what is there already when it is
    /// watched first.
    /// An error: nothing is told of later.
    Status watch(const std::vector<std::string>& paths);
    /// Whether something was there when it was looked at last. One of the paths that are watched.
    [[nodiscard]] bool is_there(const std::string& path) const;

  private:
    struct Node {
        std::string path;
        std::optional<core::FileIdentity> there;
    };
    static std::optional<core::FileIdentity> identity_of(const std::string& path);
    Status listen();
    [[nodiscard]] Result<int> watch_folder_of(const std::string& path) const;
    Status watch_folders();
    void look_again();
    void tell_fresh();
    void release();

    const Appeared appeared_;
    UniqueFd inotify_;
    guint source_ = 0;
    std::set<int> folders_;  // inotify's numbers of those that are watched
    std::vector<Node> nodes_;
};

}  // namespace lunkit::control
