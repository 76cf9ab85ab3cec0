// SPDX-License-Identifier: Apache-2.0
// ZbcOptions: the configuration string of the zbc handler.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lunkit/result.hpp"
#include "zone_format.hpp"

namespace lunkit::zbc {

inline constexpr const char* kConfigHelp =
    "<absolute path of a file>[;create=on|off][;zone_size=<size>][;conventional=<number>]"
    "[;max_open=<number>][;direct=on|off][;readonly=on|off]  create: make a missing file, sparse "
    "(on); zone_size: a power of two (256M); conventional: zones at the beginning that are written "
    "anywhere (0); max_open: zones that can be open at a time, 0 for any number (128); these three "
    "are for a new file: one that is there knows them, and is refused if they differ; direct: "
    "bypass the page cache (off); readonly: never write (off)";

struct ZbcOptions {
    std::string path;
    bool create = true;
    bool direct = false;
    bool readonly = false;
    // As given; a file that is there has to have the same.
    std::optional<std::uint64_t> zone_size;
    std::optional<std::uint32_t> conventional;
    std::optional<std::uint32_t> max_open;

    static Result<ZbcOptions> parse(std::string_view text);

    /// LUNKIT_FILE_*; whether a missing file is made is up to the caller.
    [[nodiscard]] std::uint32_t flags(bool read_only) const;
    /// Of a new file for a device of `size` bytes.
    [[nodiscard]] Result<Geometry> geometry(std::uint64_t size, std::uint32_t block_size) const;
    /// Whether a file with `geometry` is what was asked for.
    [[nodiscard]] Status check(const Geometry& geometry) const;
};

}  // namespace lunkit::zbc
