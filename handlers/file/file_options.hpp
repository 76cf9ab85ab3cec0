// SPDX-License-Identifier: Apache-2.0
// FileOptions: the configuration string of the file handler.
#pragma once

#include <string>
#include <string_view>

#include "lunkit/config_string.hpp"
#include "lunkit/handler.h"
#include "lunkit/result.hpp"
#include "lunkit/try.hpp"

namespace lunkit::file {

inline constexpr const char* kConfigHelp =
    "<absolute path of a file or block device>[;direct=on|off][;create=on|off][;readonly=on|off]"
    "[;shrink=on|off][;discard=on|off][;type=disk|cd]  direct: bypass the page cache (off); "
    "create: "
    "make a missing file, sparse (on); readonly: never write (off); shrink: let a resize cut data "
    "off (off); discard: give space back that initiators unmap (on), else the LUN is fully "
    "provisioned; type: cd for the image of a CD or DVD (disk)";

struct FileOptions {
    std::string path;
    bool direct = false;
    bool create = true;
    bool readonly = false;
    bool shrink = false;
    bool discard = true;
    bool is_cd = false;

    static Result<FileOptions> parse(std::string_view text) {
        TRY(ConfigString config, ConfigString::parse(text));
        FileOptions options;
        TRY(options.direct, config.boolean("direct", options.direct));
        TRY(options.create, config.boolean("create", options.create));
        TRY(options.readonly, config.boolean("readonly", options.readonly));
        TRY(options.shrink, config.boolean("shrink", options.shrink));
        TRY(options.discard, config.boolean("discard", options.discard));
        TRY(const std::string type, config.text("type", "disk"));
        CHECK(config.finish());
        if (type != "disk" && type != "cd") {
            return failure(EINVAL, "type=" + type + ": expected disk or cd");
        }
        if (type == "cd") {  // what is pressed stays as it is
            options.is_cd = true;
            options.readonly = true;
            options.create = false;
        }
        options.path = config.target();
        if (!options.path.starts_with('/')) {
            return failure(EINVAL, options.path.empty()
                                       ? "no path is given: file/<absolute path>"
                                       : "'" + options.path + "' is not an absolute path");
        }
        return options;
    }

    /// LUNKIT_FILE_*; whether a missing file is made is up to the caller.
    [[nodiscard]] std::uint32_t flags(bool read_only) const {
        return (direct ? LUNKIT_FILE_DIRECT : 0U) |
               (readonly || read_only ? LUNKIT_FILE_READ_ONLY : 0U);
    }
};

}  // namespace lunkit::file
