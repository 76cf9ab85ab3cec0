// SPDX-License-Identifier: Apache-2.0
// UnlinkedClusters: host clusters to which a pointer has been removed, in memory. Their reference
// counts go down, and they may be used again, only when the removal is durable (see commit.hpp).
#pragma once

#include <cstdint>
#include <vector>

namespace lunkit::qcow {

struct Unlinked {
    std::uint64_t cluster;
    bool punch;  ///< give the space back to the file system if nobody else uses it
};
using UnlinkedClusters = std::vector<Unlinked>;

}  // namespace lunkit::qcow
