// SPDX-License-Identifier: Apache-2.0
// Lanes: who may start now and who waits, when of each lane (a file, a device) only `width` items
// may run at once. So a stuck file holds up its own requests and nobody else's.
//
// Item has the members `const void* lane` and `Item* next`, which are the Lanes' between enter()
// and leave(). No locks: the owner's thread, or the owner's mutex. Memory grows with the number of
// lanes busy at once and is kept.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/chain.hpp"

namespace lunkit::core {

template <typename Item>
class Lanes {
  public:
    explicit Lanes(std::size_t width) : width_(width) {}

    /// True: start it. False: it waits in its lane's line and comes back from a leave().
    bool enter(Item* item) {
        Lane& lane = find_or_add(item->lane);
        if (lane.running < width_) {
            ++lane.running;
            return true;
        }
        lane.line.push(item);
        return false;
    }
    /// One item of `lane` has ended. Gives the next of its line, to be started now, or nullptr.
    Item* leave(const void* lane) {
        const auto found = lanes_.find(lane);
        if (Item* next = found->second.line.pop(); next != nullptr) {
            return next;
        }
        if (--found->second.running == 0) {
            spare_.push_back(lanes_.extract(found));
        }
        return nullptr;
    }
    /// Lanes with something running.
    [[nodiscard]] std::size_t busy() const { return lanes_.size(); }

  private:
    struct Lane {
        std::size_t running = 0;
        Chain<Item> line;
    };
    using Map = std::unordered_map<const void*, Lane>;

    Lane& find_or_add(const void* key) {
        if (const auto found = lanes_.find(key); found != lanes_.end()) {
            return found->second;
        }
        if (spare_.empty()) {
            return lanes_[key];
        }
        typename Map::node_type node = std::move(spare_.back());
        spare_.pop_back();
        node.key() = key;
        return lanes_.insert(std::move(node)).position->second;
    }

    std::size_t width_;
    Map lanes_;
    std::vector<typename Map::node_type>
        spare_;  // idle lanes, so that steady use allocates nothing
};

}  // namespace lunkit::core
