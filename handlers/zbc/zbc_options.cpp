// SPDX-License-Identifier: Apache-2.0
#include "zbc_options.hpp"

#include <cerrno>
#include <charconv>

#include "lunkit/config_string.hpp"
#include "lunkit/handler.h"
#include "lunkit/try.hpp"

namespace lunkit::zbc {
namespace {

constexpr std::uint64_t kDefaultZoneSize = std::uint64_t{256} << 20U;
constexpr std::uint32_t kDefaultMaxOpen = 128;

Result<std::optional<std::uint32_t>> number(ConfigString& config, const std::string& key) {
    TRY(const std::string text, config.text(key, ""));
    if (text.empty()) {
        return std::nullopt;
    }
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value > kMaxZones) {
        return failure(EINVAL,
                       key + "=" + text + ": expected a number up to " + std::to_string(kMaxZones));
    }
    return value;
}

Status check_equal(const std::string& path, const char* key, std::optional<std::uint64_t> wanted,
                   std::uint64_t there) {
    if (!wanted || *wanted == there) {
        return {};
    }
    return failure(EINVAL, path + " was made with " + key + "=" + std::to_string(there) + ", not " +
                               std::to_string(*wanted) + "; it needs not be said again");
}

}  // namespace

Result<ZbcOptions> ZbcOptions::parse(std::string_view text) {
    TRY(ConfigString config, ConfigString::parse(text));
    ZbcOptions options;
    TRY(options.create, config.boolean("create", options.create));
    TRY(options.direct, config.boolean("direct", options.direct));
    TRY(options.readonly, config.boolean("readonly", options.readonly));
    constexpr std::uint64_t kNotGiven = ~std::uint64_t{0};
    TRY(const std::uint64_t zone_size, config.bytes("zone_size", kNotGiven));
    TRY(options.conventional, number(config, "conventional"));
    TRY(options.max_open, number(config, "max_open"));
    CHECK(config.finish());
    if (zone_size != kNotGiven) {
        options.zone_size = zone_size;
        // Without a size yet: what can be said of the zones alone.
        CHECK((Geometry{.block_size = 512, .zone_size = zone_size, .size = zone_size}.check()));
    }
    options.path = config.target();
    if (!options.path.starts_with('/')) {
        return failure(EINVAL, options.path.empty()
                                   ? "no path is given: zbc/<absolute path>"
                                   : "'" + options.path + "' is not an absolute path");
    }
    return options;
}

std::uint32_t ZbcOptions::flags(bool read_only) const {
    return (direct ? LUNKIT_FILE_DIRECT : 0U) |
           (readonly || read_only ? LUNKIT_FILE_READ_ONLY : 0U);
}

Result<Geometry> ZbcOptions::geometry(std::uint64_t size, std::uint32_t block_size) const {
    const Geometry geometry{.block_size = block_size,
                            .zone_size = zone_size.value_or(kDefaultZoneSize),
                            .size = size,
                            .conventional_zones = conventional.value_or(0),
                            .max_open_zones = max_open.value_or(kDefaultMaxOpen)};
    if (const Status status = geometry.check(); !status) {
        return failure(EINVAL, path + " cannot be made: " + status.error().what);
    }
    return geometry;
}

Status ZbcOptions::check(const Geometry& geometry) const {
    CHECK(check_equal(path, "zone_size", zone_size, geometry.zone_size));
    CHECK(check_equal(path, "conventional", conventional, geometry.conventional_zones));
    CHECK(check_equal(path, "max_open", max_open, geometry.max_open_zones));
    return {};
}

}  // namespace lunkit::zbc
