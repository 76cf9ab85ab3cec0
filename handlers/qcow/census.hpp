// SPDX-License-Identifier: Apache-2.0
// Census: how often each host cluster is referenced, counted by walking all tables (qcow2.rst "Host
// cluster management"). For images whose refcounts may be wrong: those with the dirty bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "qcow/image_file.hpp"
#include "qcow/l2_entry.hpp"

namespace lunkit::qcow {

class Census {
  public:
    /// Clusters of a file that can be counted; each takes 4 bytes of memory.
    static constexpr std::uint64_t kMostClusters = 64ULL << 20U;

    /// References outlive this.
    Census(ImageFile& file, const Geometry& geometry) : file_(file), geometry_(geometry) {}

    /// Room for all clusters of the file. ENOTSUP: too many.
    Status begin();
    /// Something in [offset, +length) of the file: each cluster that it touches.
    Status add(std::uint64_t offset, std::uint64_t length);
    /// An L1 table, everything that it leads to included. `active`: its COPIED flags count; they
    /// are collected for check_copied().
    Task<Status> add_l1(Queue& queue, std::uint64_t offset, std::uint64_t entries, bool active);
    /// After everything was added: who is called the only one with a cluster is that.
    [[nodiscard]] Status check_copied() const;

    /// By cluster number, from 0 to a little behind the end of the file.
    [[nodiscard]] std::span<const std::uint32_t> counts() const { return counts_; }

  private:
    Task<Status> add_l2(Queue& queue, std::uint64_t offset, bool active);

    ImageFile& file_;
    const Geometry& geometry_;
    std::vector<std::uint32_t> counts_;
    std::vector<bool> copied_;  // by cluster: an active entry has the flag
};

}  // namespace lunkit::qcow
