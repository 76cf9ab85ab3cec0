// SPDX-License-Identifier: Apache-2.0
// Census: how often each host cluster is referenced, counted by walking all tables (qcow2.rst "Host
// cluster management"). For images whose refcounts may be wrong: those with the dirty bit.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "qcow/background.hpp"
#include "qcow/image_file.hpp"
#include "qcow/l2_entry.hpp"

namespace lunkit::qcow {

class Census {
  public:
    /// Clusters of a file that can be counted; each that is referenced takes about 4 bytes of
    /// memory.
    static constexpr std::uint64_t kMostClusters = 64ULL << 20U;

    /// References outlive this. `background`: asked between two tables.
    Census(ImageFile& file, const Geometry& geometry, Background& background)
        : file_(file), geometry_(geometry), background_(background) {}

    /// Room for all clusters that the file has now. ENOTSUP: too many.
    Status begin();
    /// Something in [offset, +length) of the file: each cluster that it touches.
    Status add(std::uint64_t offset, std::uint64_t length);
    /// The same, and it stays counted over restart().
    Status add_own(std::uint64_t offset, std::uint64_t length);
    /// Forgets all but what add_own() counted.
    void restart();
    /// The L2 tables of an L1 table, and what they lead to; none of them changes meanwhile.
    /// `active`: COPIED flags count; they are collected for check_copied().
    Task<Status> add_tables(Queue& queue, std::span<const std::uint64_t> l1, bool active);
    /// The same of an L1 table in the file, which is counted too.
    Task<Status> add_l1(Queue& queue, std::uint64_t offset, std::uint64_t entries);
    /// After everything was added: who is called the only one with a cluster is that.
    Task<Status> check_copied(Queue& queue) const;

    /// After everything was added: the clusters from here on are not in use.
    [[nodiscard]] std::uint64_t used_end() const;
    /// Leaves those behind `end` to others.
    void cut(std::uint64_t end) { clusters_ = end; }

    /// Those that were counted are 0 to clusters() - 1, a little behind the end of the file.
    [[nodiscard]] std::uint64_t clusters() const { return clusters_; }
    [[nodiscard]] std::uint32_t count(std::uint64_t cluster) const {
        const Page* const page = pages_[cluster / kPage].get();
        return page == nullptr ? 0 : page->counts[cluster % kPage];
    }

  private:
    static constexpr std::uint64_t kPage = 4096;  // clusters
    struct Page {
        std::array<std::uint32_t, kPage> counts{};
        std::bitset<kPage> copied;  // an active entry has the flag
    };
    Page& page_of(std::uint64_t cluster);
    Task<Status> add_l2(Queue& queue, std::uint64_t offset, bool active);
    Status add_entries(std::span<const std::byte> table, bool active);

    ImageFile& file_;
    const Geometry& geometry_;
    Background& background_;
    std::uint64_t end_ = 0;  // of the file, when it began
    std::uint64_t clusters_ = 0;
    std::vector<std::unique_ptr<Page>> pages_;
    std::vector<ByteRange> own_;
};

}  // namespace lunkit::qcow
