// SPDX-License-Identifier: Apache-2.0
// Opening an image with all its backing files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "lunkit/handler.h"
#include "lunkit/result.hpp"
#include "qcow/disk.hpp"
#include "qcow/header.hpp"
#include "qcow/image.hpp"
#include "qcow/qcow1_header.hpp"
#include "qcow/secret.hpp"

namespace lunkit::qcow {

struct ChainRequest {
    std::string path;            ///< of the top image, absolute
    Image::Options options;      ///< of the top image
    std::string backing_folder;  ///< absolute; backing files lie beneath it. Empty: none allowed
    std::string data_folder;     ///< the same for external data files
    std::string backing_format;  ///< of backing files whose format no image tells; or empty
    SecretSource secret;         ///< of all encrypted images of the chain
    bool locked = false;         ///< only metadata is wanted: encrypted images stay locked
    bool without_key = false;    ///< the same, but the secret and LUKS' headers are looked at; keys
                                 ///< are not derived, which takes seconds
    bool for_writing = false;    ///< refuse what is not to be written, though options.read_only
    std::uint32_t file_flags =
        0;  ///< LUNKIT_FILE_* for the top image and its data, beside READ_ONLY
};

/// Images deeper than this are refused.
inline constexpr int kMaxChainDepth = 32;

/// A new image at request.path, for a disk of `size` bytes, encrypted if there is a secret; nothing
/// where there is a file already. Worker thread; blocks.
Status create_missing(const lunkit_host& host, const ChainRequest& request, std::uint64_t size);

/// The header of an image, checked: of version 2 or 3, or of version 1. Worker thread; blocks.
using AnyHeader = std::variant<Header, Qcow1Header>;
[[nodiscard]] Result<AnyHeader> read_header(const ImageFile& file);

/// Worker thread; blocks. Errors are sentences that name the file and the field.
[[nodiscard]] Result<std::unique_ptr<Disk>> open_chain(const lunkit_host& host,
                                                       const ChainRequest& request);

}  // namespace lunkit::qcow
