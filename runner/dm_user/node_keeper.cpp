// SPDX-License-Identifier: Apache-2.0
#include "dm_user/node_keeper.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "dm_user/control_node.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_user {

namespace {

constexpr std::string_view kPrefix = "dm-user/";

/// What the store takes, and another one for each target.
std::string stored_name(const std::string& name) {
    std::string stored(kPrefix);
    for (const char letter : name) {
        if (letter <= ' ' || letter > '~' || letter == ':' || letter == '%') {
            stored += fmt::format("%{:02x}", static_cast<unsigned char>(letter));
        } else {
            stored += letter;
        }
    }
    return stored;
}

}  // namespace

StoredNodes::StoredNodes(core::DescriptorStore& store, Open open)
    : store_(store), open_(std::move(open)) {
    for (const core::DescriptorStore::Kept& kept : store_.take_inherited()) {
        const Result<core::FileIdentity> identity = identity_of(kept.fd);
        if (identity && kept.name.starts_with(kPrefix)) {
            held_.emplace(kept.name, *identity);
        }
    }
}

Status StoredNodes::hold(const std::string& name) {
    TRY(const UniqueFd node, open_(name));
    TRY(const core::FileIdentity identity, identity_of(node));
    const std::string stored = stored_name(name);
    const std::lock_guard lock(mutex_);
    if (const auto known = held_.find(stored); known != held_.end()) {
        if (known->second == identity) {
            return {};
        }
        store_.drop(stored);  // of a target that has gone
        held_.erase(known);
    }
    CHECK(store_.keep(stored, node));
    held_.emplace(stored, identity);
    return {};
}

void StoredNodes::let_go(const std::string& name) {
    const std::string stored = stored_name(name);
    const std::lock_guard lock(mutex_);
    if (held_.erase(stored) != 0) {
        store_.drop(stored);
    }
}

void StoredNodes::let_go_of_others(const std::vector<std::string>& names) {
    const std::lock_guard lock(mutex_);
    std::erase_if(held_, [&](const auto& held) {
        const bool is_other = std::ranges::find(names, held.first, stored_name) == names.end();
        if (is_other) {
            store_.drop(held.first);
        }
        return is_other;
    });
}

}  // namespace lunkit::dm_user
