// SPDX-License-Identifier: Apache-2.0
// FrozenClusters: unlinked clusters that wait for the end of a repair, however long it takes: kept
// as ranges. A cluster that lost several pointers is there as often.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "qcow/unlinked.hpp"

namespace lunkit::qcow {

class FrozenClusters {
  public:
    void add(const Unlinked& unlinked) {
        const Range range{unlinked.cluster, unlinked.cluster + 1, unlinked.punch};
        if (!ranges_.empty() && ranges_.back().joins(range)) {
            ranges_.back().end = range.end;
            return;
        }
        if (ranges_.size() >= merge_at_) {
            merge();
        }
        ranges_.push_back(range);
    }
    /// At most `most` of them, in no order.
    UnlinkedClusters take(std::size_t most) {
        UnlinkedClusters taken;
        while (!ranges_.empty() && taken.size() < most) {
            Range& last = ranges_.back();
            taken.push_back({--last.end, last.punch});
            if (last.end == last.first) {
                ranges_.pop_back();
            }
        }
        return taken;
    }
    [[nodiscard]] std::size_t ranges() const { return ranges_.size(); }

  private:
    static constexpr std::size_t kFewest = 4096;

    struct Range {
        std::uint64_t first;
        std::uint64_t end;
        bool punch;
        [[nodiscard]] bool joins(const Range& next) const {
            return end == next.first && punch == next.punch;
        }
    };
    void merge() {
        std::ranges::sort(ranges_, {}, &Range::first);
        std::size_t last = 0;
        for (std::size_t i = 1; i < ranges_.size(); ++i) {
            if (ranges_[last].joins(ranges_[i])) {
                ranges_[last].end = ranges_[i].end;
            } else {
                ranges_[++last] = ranges_[i];
            }
        }
        ranges_.resize(std::min(ranges_.size(), last + 1));
        merge_at_ = std::max(kFewest, 2 * ranges_.size());
    }

    std::vector<Range> ranges_;
    std::size_t merge_at_ = kFewest;
};

}  // namespace lunkit::qcow
