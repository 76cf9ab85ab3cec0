// SPDX-License-Identifier: Apache-2.0
// The configuration string of a qcow device.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lunkit/result.hpp"
#include "qcow/secret.hpp"

namespace lunkit::qcow {

struct QcowOptions {
    std::string path;  ///< absolute
    bool read_only = false;
    bool create = false;            ///< make the image if there is none
    bool shrink = false;            ///< let a resize cut data off
    std::string snapshot;           ///< empty: the disk as it is
    std::uint64_t cache_bytes = 0;  ///< of metadata
    bool lazy = false;              ///< see Image::Options
    std::string backing_folder;     ///< empty: backing files are refused
    std::string data_folder;        ///< empty: external data files are refused
    std::string backing_format;     ///< where an image does not tell; empty: refused
    SecretSource secret;            ///< of encrypted images
};

inline constexpr const char* kConfigHelp =
    "<absolute path>[;key=value]...\n"
    "  readonly=on|off    serve it read-only (off)\n"
    "  create=on|off      make a missing image, empty, of the LUN's size (off); with a secret:\n"
    "                     encrypted\n"
    "  shrink=on|off      let a resize cut off what lies behind (off)\n"
    "  snapshot=<id>      serve this internal snapshot, read-only\n"
    "  cache=<size>       memory for metadata (32M)\n"
    "  commit=write|flush when a write is in a new place, its metadata goes to the file before "
    "the\n"
    "                     write completes (write), or at the next flush: faster, but then the\n"
    "                     end of lunkitd by force loses what was not flushed (flush)\n"
    "  backing=confined|off|<folder>\n"
    "                     backing files may lie beneath the image's own folder (confined),\n"
    "                     nowhere (off), or beneath <folder>\n"
    "  backing_format=raw|qcow2|qcow\n"
    "                     what a backing file is where the image does not tell, as version 1\n"
    "                     never does (none: such an image is refused)\n"
    "  secret_file=<file> the passphrase of encrypted images (LUKS), every byte of the file;\n"
    "                     root's alone (mode 600)\n"
    "  secret_credential=<name>\n"
    "                     the same from a systemd credential of lunkitd\n"
    "  data_file=off|confined|<folder>\n"
    "                     the same for the external data file of an image (off)";

[[nodiscard]] Result<QcowOptions> parse_options(std::string_view config);

}  // namespace lunkit::qcow
