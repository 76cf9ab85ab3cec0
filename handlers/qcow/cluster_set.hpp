// SPDX-License-Identifier: Apache-2.0
// ClusterSet: a set of host cluster numbers, for "is this cluster metadata?" before each use of
// one. Open addressing with linear probing: O(1), 16 bytes an entry at most half full. 0 cannot be
// a member (cluster 0 is the header; who asks knows that).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace lunkit::qcow {

class ClusterSet {
  public:
    [[nodiscard]] bool contains(std::uint64_t cluster) const {
        return count_ != 0 && slots_[find(cluster)] == cluster;
    }
    /// False when it is there already.
    bool insert(std::uint64_t cluster) {
        if (2 * (count_ + 1) > slots_.size()) {
            grow();
        }
        const std::size_t slot = find(cluster);
        if (slots_[slot] == cluster) {
            return false;
        }
        slots_[slot] = cluster;
        ++count_;
        return true;
    }
    void erase(std::uint64_t cluster) {
        if (!contains(cluster)) {
            return;
        }
        std::size_t hole = find(cluster);
        slots_[hole] = 0;
        --count_;
        // Whoever probed past the hole moves into it (Knuth 6.4, algorithm R).
        for (std::size_t slot = next(hole); slots_[slot] != 0; slot = next(slot)) {
            const std::uint64_t member = std::exchange(slots_[slot], 0);
            slots_[find(member)] = member;
        }
    }
    [[nodiscard]] std::size_t size() const { return count_; }

  private:
    static constexpr std::size_t kFirstSize = 64;

    [[nodiscard]] std::size_t next(std::size_t slot) const {
        return (slot + 1) & (slots_.size() - 1);
    }
    /// The slot that has it, or the free one where it would be.
    [[nodiscard]] std::size_t find(std::uint64_t cluster) const {
        constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;
        std::size_t slot = (cluster * kGolden >> 20U) & (slots_.size() - 1);
        while (slots_[slot] != 0 && slots_[slot] != cluster) {
            slot = next(slot);
        }
        return slot;
    }
    void grow() {
        std::vector<std::uint64_t> old(slots_.empty() ? kFirstSize : 2 * slots_.size(), 0);
        std::swap(old, slots_);
        for (const std::uint64_t member : old) {
            if (member != 0) {
                slots_[find(member)] = member;
            }
        }
    }

    std::vector<std::uint64_t> slots_;
    std::size_t count_ = 0;
};

}  // namespace lunkit::qcow
