// SPDX-License-Identifier: Apache-2.0
// Mapping: where a run of the guest's bytes is.
#pragma once

#include <cstdint>

#include "qcow/l2_entry.hpp"

namespace lunkit::qcow {

/// A run of guest bytes in the same state.
struct Mapping {
    Kind kind = Kind::kUnallocated;
    std::uint64_t length = 0;             ///< guest bytes, at least 1
    std::uint64_t host_offset = 0;        ///< kData, kCompressed: where it begins
    bool owned = false;                   ///< kData: may be overwritten in place
    bool reserved = false;                ///< kZero: it has host clusters
    bool committed = true;                ///< kData: who reads the file finds it so too
    std::uint32_t compressed_length = 0;  ///< kCompressed: bytes; `length` ends with the cluster
};

}  // namespace lunkit::qcow
