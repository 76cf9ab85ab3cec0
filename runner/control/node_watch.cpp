// SPDX-License-Identifier: Apache-2.0
// Of each path the deepest folder that is there is watched: what it waits for next appears in that.
// What an event says does not matter; after each one everything is looked at, and watches follow
// the folders, before the look, so that nothing comes unseen in between.
#include "control/node_watch.hpp"

#include <glib-unix.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/log.hpp"
#include "core/system_failure.hpp"
#include "lunkit/try.hpp"

namespace lunkit::control {
namespace {

constexpr std::uint32_t kEvents =
    IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

bool is_folder(const std::filesystem::path& path) {
    std::error_code error;
    return std::filesystem::is_directory(path, error);
}

std::filesystem::path deepest_folder_of(const std::filesystem::path& path) {
    std::filesystem::path folder = path.parent_path();
    while (!is_folder(folder) && folder.has_relative_path()) {
        folder = folder.parent_path();
    }
    return folder;
}

void take_events(int inotify) {
    alignas(inotify_event) std::array<char, 4096> events{};
    while (::read(inotify, events.data(), events.size()) > 0) {
    }
}

}  // namespace

std::optional<core::FileIdentity> NodeWatch::identity_of(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        return std::nullopt;
    }
    return core::FileIdentity::of(status);
}

Status NodeWatch::watch(const std::vector<std::string>& paths) {
    std::vector<Node> nodes;
    nodes.reserve(paths.size());
    for (const std::string& path : paths) {
        const auto known = std::ranges::find(nodes_, path, &Node::path);
        nodes.push_back(known == nodes_.end() ? Node{.path = path, .there = identity_of(path)}
                                              : *known);
    }
    nodes_ = std::move(nodes);
    const Status watched = paths.empty() ? Status() : watch_folders();
    if (!watched || paths.empty()) {
        release();
    }
    tell_fresh();
    return watched;
}

bool NodeWatch::is_there(const std::string& path) const {
    const auto node = std::ranges::find(nodes_, path, &Node::path);
    return node != nodes_.end() && node->there;
}

Status NodeWatch::listen() {
    if (inotify_) {
        return {};
    }
    inotify_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!inotify_) {
        return core::system_failure("inotify");
    }
    const auto on_event = [](gint fd, GIOCondition /*condition*/, gpointer data) -> gboolean {
        take_events(fd);
        static_cast<NodeWatch*>(data)->look_again();
        return G_SOURCE_CONTINUE;
    };
    source_ = g_unix_fd_add(inotify_.get(), G_IO_IN, on_event, this);
    return {};
}

/// inotify's number of the folder in which the path, or the next folder to it, will appear.
Result<int> NodeWatch::watch_folder_of(const std::string& path) const {
    while (true) {
        const std::filesystem::path folder = deepest_folder_of(path);
        const int number = ::inotify_add_watch(inotify_.get(), folder.c_str(), kEvents);
        if (number < 0 && errno != ENOENT && errno != ENOTDIR) {
            return core::system_failure("inotify");
        }
        if (number >= 0 && deepest_folder_of(path) == folder) {
            return number;
        }
    }
}

Status NodeWatch::watch_folders() {
    CHECK(listen());
    std::set<int> needed;
    for (const Node& node : nodes_) {
        TRY(const int number, watch_folder_of(node.path));
        needed.insert(number);
    }
    for (const int number : std::exchange(folders_, needed)) {
        if (!needed.contains(number)) {
            (void)::inotify_rm_watch(inotify_.get(), number);  // it may have gone with its folder
        }
    }
    return {};
}

void NodeWatch::look_again() {
    if (!inotify_) {
        return;
    }
    if (const Status watched = watch_folders(); !watched) {
        core::log(core::LogLevel::kError, {}, "{}; nodes that appear may be missed",
                  watched.error().what);
    }
    tell_fresh();
}

void NodeWatch::tell_fresh() {
    std::vector<std::string> fresh;
    for (Node& node : nodes_) {
        const std::optional<core::FileIdentity> there = identity_of(node.path);
        if (there && there != node.there) {
            fresh.push_back(node.path);
        }
        node.there = there;
    }
    for (const std::string& path : fresh) {
        appeared_(path);
    }
}

void NodeWatch::release() {
    if (source_ != 0) {
        g_source_remove(std::exchange(source_, 0));
    }
    folders_.clear();
    inotify_.reset();
}

}  // namespace lunkit::control
