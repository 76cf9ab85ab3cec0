// SPDX-License-Identifier: Apache-2.0
// Header extensions (qcow2.rst "Header extensions"): {type u32, length u32, data, padding to 8}.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "lunkit/result.hpp"
#include "qcow/header.hpp"

namespace lunkit::qcow {

/// What the extensions say that concerns us.
struct Extensions {
    std::string backing_format;
    std::optional<BitmapsExtension> bitmaps;
    std::optional<ByteRange> encryption_header;  ///< as it stands there
    std::optional<std::string> data_file;
    std::span<const std::byte> feature_names;  ///< entries of 48 bytes; a view
};

/// `area`: from header_length to the backing file's name, or to the end of the first cluster.
[[nodiscard]] Result<Extensions> parse_extensions(std::span<const std::byte> area);

/// The name of bit `bit` of incompatible_features by the image's own table, else "bit <n>".
[[nodiscard]] std::string feature_name(std::span<const std::byte> feature_names, unsigned bit);

}  // namespace lunkit::qcow
