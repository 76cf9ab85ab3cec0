// SPDX-License-Identifier: Apache-2.0
#include "qcow/options.hpp"

#include <cerrno>
#include <utility>

#include "lunkit/config_string.hpp"
#include "lunkit/try.hpp"
#include "qcow/confined_path.hpp"

namespace lunkit::qcow {

Result<QcowOptions> parse_options(std::string_view config) {
    constexpr std::uint64_t kCache = 32ULL << 20U;
    constexpr std::uint64_t kLeastCache = 64ULL << 10U;
    constexpr std::uint64_t kMostCache = 64ULL << 30U;
    TRY(ConfigString keys, ConfigString::parse(config));
    QcowOptions options;
    options.path = keys.target();
    TRY(options.read_only, keys.boolean("readonly", false));
    TRY(options.snapshot, keys.text("snapshot", ""));
    TRY(options.cache_bytes, keys.bytes("cache", kCache));
    TRY(const std::string commit, keys.text("commit", "write"));
    TRY(std::string backing, keys.text("backing", "confined"));
    CHECK(keys.finish());
    if (!options.path.starts_with('/')) {
        return failure(EINVAL, "'" + options.path + "' is not an absolute path");
    }
    if (options.cache_bytes < kLeastCache || options.cache_bytes > kMostCache) {
        return failure(EINVAL, "cache: expected 64K to 64G");
    }
    if (commit != "write" && commit != "flush") {
        return failure(EINVAL, "commit=" + commit + ": expected write or flush");
    }
    options.lazy = commit == "flush";
    if (backing == "confined") {
        options.backing_folder = folder_of(options.path);
        if (options.backing_folder.empty()) {
            options.backing_folder = "/.";
        }
    } else if (backing.starts_with('/') && backing.size() > 1) {
        while (backing.ends_with('/')) {
            backing.pop_back();
        }
        options.backing_folder = std::move(backing);
    } else if (backing != "off") {
        return failure(EINVAL, "backing=" + backing +
                                   ": expected confined, off or the absolute path of a folder");
    }
    options.read_only = options.read_only || !options.snapshot.empty();
    return options;
}

}  // namespace lunkit::qcow
