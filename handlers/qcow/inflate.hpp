// SPDX-License-Identifier: Apache-2.0
// Compressed clusters (qcow2.rst "Compressed Clusters Descriptor", "compression_type").
#pragma once

#include <cstddef>
#include <span>

#include "lunkit/result.hpp"
#include "qcow/header.hpp"

namespace lunkit::qcow {

/// Fills `cluster` exactly. `compressed` may be longer than the compressed data. Any thread; takes
/// milliseconds for large clusters. 0, or -EIO: damaged, or not as long as a cluster; -ENOMEM.
[[nodiscard]] int inflate_cluster(CompressionType type, std::span<const std::byte> compressed,
                                  std::span<std::byte> cluster);

}  // namespace lunkit::qcow
