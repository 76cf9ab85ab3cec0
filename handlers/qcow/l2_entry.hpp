// SPDX-License-Identifier: Apache-2.0
// One guest cluster's entry in an L2 table (qcow2.rst "L2 table entry", "Extended L2 Entries").
//
// A cluster consists of subclusters: 32 with extended entries, else one, the cluster itself. So
// both kinds of entry become one ClusterState here, and the rest of the code knows only that.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lunkit/result.hpp"
#include "qcow/header.hpp"

namespace lunkit::qcow {

/// Sizes that follow from the header. Bytes where nothing else is said.
struct Geometry {
    explicit Geometry(const Header& header);

    std::uint32_t cluster_bits;
    std::uint32_t refcount_order;
    std::uint32_t version;
    bool extended_l2;
    bool data_file;  ///< host clusters of data are in another file, each at its guest offset

    [[nodiscard]] std::uint64_t cluster_size() const { return 1ULL << cluster_bits; }
    [[nodiscard]] std::uint32_t l2_entry_size() const { return extended_l2 ? 16 : 8; }
    [[nodiscard]] std::uint32_t l2_entry_bits() const { return extended_l2 ? 4 : 3; }
    /// Entries of an L2 table: one cluster of them.
    [[nodiscard]] std::uint64_t l2_entries() const {
        return 1ULL << (cluster_bits - l2_entry_bits());
    }
    [[nodiscard]] std::uint32_t subclusters() const { return extended_l2 ? 32 : 1; }
    [[nodiscard]] std::uint64_t subcluster_size() const { return cluster_size() / subclusters(); }
    /// A bit per subcluster.
    [[nodiscard]] std::uint32_t all_subclusters() const { return extended_l2 ? UINT32_MAX : 1; }
    /// Whether an entry can say "reads as zeros".
    [[nodiscard]] bool can_zero() const { return version >= 3; }
    /// The part of metadata that is cached and written at once: no larger than a cluster.
    [[nodiscard]] std::uint64_t slice_size() const;
    /// Counters of a refcount block.
    [[nodiscard]] std::uint32_t refcount_block_bits() const {
        return cluster_bits + 3 - refcount_order;
    }

    [[nodiscard]] std::uint64_t cluster_of(std::uint64_t offset) const {
        return offset >> cluster_bits;
    }
    [[nodiscard]] std::uint64_t start_of(std::uint64_t cluster) const {
        return cluster << cluster_bits;
    }
    [[nodiscard]] std::uint64_t within_cluster(std::uint64_t offset) const {
        return offset & (cluster_size() - 1);
    }
    [[nodiscard]] std::uint64_t round_up(std::uint64_t bytes) const {
        return (bytes + cluster_size() - 1) & ~(cluster_size() - 1);
    }
};

/// What a guest sees at a place.
enum class Kind : std::uint8_t { kUnallocated, kZero, kData, kCompressed };

struct ClusterState {
    enum class Type : std::uint8_t { kStandard, kCompressed };
    Type type = Type::kStandard;
    bool placed = false;                  ///< there is a host cluster
    bool copied = false;                  ///< it belongs to this entry alone
    std::uint64_t host_offset = 0;        ///< kCompressed: any byte, else a cluster's start
    std::uint32_t compressed_length = 0;  ///< kCompressed: bytes, at most two clusters
    std::uint32_t allocated = 0;          ///< a bit per subcluster: the data is in the host cluster
    std::uint32_t zeroed = 0;             ///< a bit per subcluster: reads as zeros

    [[nodiscard]] Kind kind_of(std::uint32_t subcluster) const;
    /// There is a host cluster that may be written without telling anybody else.
    [[nodiscard]] bool owns_host_cluster() const {
        return type == Type::kStandard && placed && copied;
    }
    bool operator==(const ClusterState&) const = default;
};

/// The two words of an entry; `bitmap` is 0 without extended entries.
struct L2Entry {
    std::uint64_t word = 0;
    std::uint64_t bitmap = 0;
    bool operator==(const L2Entry&) const = default;
};

[[nodiscard]] L2Entry load_entry(const Geometry& geometry, const std::byte* from);
void store_entry(const Geometry& geometry, std::byte* to, L2Entry entry);

/// Checks everything that an entry alone can show. `file_end`: bytes of the file; what lies a whole
/// cluster or more beyond is an error (with an external data file the caller knows the only right
/// offset). EIO, class internal, with a sentence.
[[nodiscard]] Result<ClusterState> decode(const Geometry& geometry, L2Entry entry,
                                          std::uint64_t file_end);
/// Standard entries only: compressed ones are never written.
[[nodiscard]] L2Entry encode(const Geometry& geometry, const ClusterState& state);

inline constexpr std::uint64_t kOffsetMask = 0x00fffffffffffe00ULL;  // bits 9-55 of an entry
inline constexpr std::uint64_t kCopiedFlag = 1ULL << 63U;

/// The error of damaged metadata.
[[nodiscard]] std::unexpected<Error> corruption(std::string what);

}  // namespace lunkit::qcow
