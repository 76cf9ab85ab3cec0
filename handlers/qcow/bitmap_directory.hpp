// SPDX-License-Identifier: Apache-2.0
// The directory of persistent dirty bitmaps (qcow2.rst "Bitmap directory"). The bitmaps are not
// kept up to date here; their flag in_use says so to everybody who knows bitmaps, and keeps their
// clusters accounted for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lunkit::qcow {

/// Sets in_use in each of `count` entries. False when the directory is damaged; it may have been
/// changed in part then and must not be written.
[[nodiscard]] bool mark_bitmaps_in_use(std::span<std::byte> directory, std::uint32_t count);

}  // namespace lunkit::qcow
