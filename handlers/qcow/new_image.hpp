// SPDX-License-Identifier: Apache-2.0
// A new, empty image: version 3, clusters of 64 KiB, refcounts of 16 bits, as qemu-img makes them.
//
// Cluster 0 is the header, 1 the refcount table, 2 its one block, and from 3 on lies the L1 table;
// behind it, if the image is encrypted, LUKS' header.
// The header is written last, when all else is durable: a crash leaves a file that is no image, or
// one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lunkit/result.hpp"
#include "qcow/image_file.hpp"

namespace lunkit::qcow {

/// Bytes of the file of a new image for a disk of `size` bytes. EFBIG: the format has no room.
[[nodiscard]] Result<std::uint64_t> new_image_bytes(std::uint64_t size, bool encrypted);

/// Worker thread; blocks. `file`: so long, all zeros, and nobody else's. `luks`: of format_luks(),
/// or empty: the image is not encrypted.
Status write_new_image(ImageFile& file, std::uint64_t size, std::span<const std::byte> luks);

}  // namespace lunkit::qcow
