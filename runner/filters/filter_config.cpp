// SPDX-License-Identifier: Apache-2.0
#include "filters/filter_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "core/number_text.hpp"
#include "filters/value_text.hpp"
#include "lunkit/try.hpp"

namespace lunkit::filters {

namespace {

constexpr std::string_view kPrefix = "filter.";
constexpr std::uint64_t kMostIops = 1'000'000'000;
constexpr std::uint64_t kLeastRate = 4096;

/// The options of type T in the stack, on top of it if they are new.
template <typename T>
T& options_of(FilterConfig& config) {
    for (FilterOptions& options : config.stack) {
        if (T* const found = std::get_if<T>(&options)) {
            return *found;
        }
    }
    return std::get<T>(config.stack.emplace_back(T()));
}

Status set_duration(std::string_view text, std::chrono::nanoseconds& value) {
    TRY(value, parse_duration(text));
    return {};
}

Status set_offset(std::string_view text, std::uint64_t& value) {
    return text == "0" ? Status{} : core::parse_size(text, value);
}

Status set_rate(std::string_view text, std::uint64_t& value) {
    CHECK(core::parse_size(text, value));
    if (value < kLeastRate) {
        return failure(EINVAL,
                       fmt::format("'{}' is less than {} bytes a second", text, kLeastRate));
    }
    return {};
}

Status set_burst(std::string_view text, std::chrono::nanoseconds& value) {
    TRY(value, parse_duration(text));
    if (value == std::chrono::nanoseconds(0)) {
        return failure(EINVAL, "nothing at all could pass; 1us is the least");
    }
    return {};
}

template <typename T>
struct Name {
    std::string_view text;
    T value;
};

template <typename T, std::size_t kCount>
Status set_name(std::string_view text, const Name<T> (&names)[kCount], T& value) {
    std::vector<std::string_view> known;
    for (const Name<T>& name : names) {
        if (name.text == text) {
            value = name.value;
            return {};
        }
        known.push_back(name.text);
    }
    return failure(EINVAL, fmt::format("'{}' is none of {}", text, fmt::join(known, ", ")));
}

constexpr Name<int> kErrors[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC},       {"EROFS", EROFS},
                                 {"ENOMEM", ENOMEM}, {"ETIMEDOUT", ETIMEDOUT}, {"EPERM", EPERM}};
constexpr Name<ErrorOptions::Of> kDeeds[] = {{"any", ErrorOptions::Of::kAny},
                                             {"read", ErrorOptions::Of::kRead},
                                             {"write", ErrorOptions::Of::kWrite},
                                             {"flush", ErrorOptions::Of::kFlush}};

Status set_file(std::string_view text, std::string& value) {
    if (!text.starts_with('/')) {
        return failure(EINVAL, fmt::format("'{}' is no absolute path", text));
    }
    value = text;
    return {};
}

struct Key {
    std::string_view name;  // what follows kPrefix
    Status (*set)(std::string_view value, FilterConfig& config);
};

constexpr Key kKeys[] = {
    {"readonly",
     [](std::string_view value, FilterConfig& config) -> Status {
         TRY(config.read_only, parse_switch(value));
         return {};
     }},
    {"trace",
     [](std::string_view value, FilterConfig& config) -> Status {
         TRY(const bool is_on, parse_switch(value));
         if (is_on) {
             (void)options_of<TraceOptions>(config);  // there is nothing to choose
         }
         return {};
     }},
    {"throttle.iops",
     [](std::string_view value, FilterConfig& config) {
         return core::parse_number(value, 1, kMostIops, options_of<ThrottleOptions>(config).iops);
     }},
    {"throttle.rate",
     [](std::string_view value, FilterConfig& config) {
         return set_rate(value, options_of<ThrottleOptions>(config).rate);
     }},
    {"throttle.burst",
     [](std::string_view value, FilterConfig& config) {
         return set_burst(value, options_of<ThrottleOptions>(config).burst);
     }},
    {"delay.read",
     [](std::string_view value, FilterConfig& config) {
         return set_duration(value, options_of<DelayOptions>(config).read);
     }},
    {"delay.write",
     [](std::string_view value, FilterConfig& config) {
         return set_duration(value, options_of<DelayOptions>(config).write);
     }},
    {"delay.flush",
     [](std::string_view value, FilterConfig& config) {
         return set_duration(value, options_of<DelayOptions>(config).flush);
     }},
    {"error.rate",
     [](std::string_view value, FilterConfig& config) -> Status {
         TRY(options_of<ErrorOptions>(config).share, parse_share(value));
         return {};
     }},
    {"error.kind",
     [](std::string_view value, FilterConfig& config) {
         return set_name(value, kErrors, options_of<ErrorOptions>(config).code);
     }},
    {"error.op",
     [](std::string_view value, FilterConfig& config) {
         return set_name(value, kDeeds, options_of<ErrorOptions>(config).of);
     }},
    {"error.file",
     [](std::string_view value, FilterConfig& config) {
         return set_file(value, options_of<ErrorOptions>(config).file);
     }},
    {"offset",
     [](std::string_view value, FilterConfig& config) {
         return set_offset(value, options_of<PartOptions>(config).offset);
     }},
    {"size",
     [](std::string_view value, FilterConfig& config) {
         return core::parse_size(value, options_of<PartOptions>(config).size);
     }},
};

/// Of `item`, which is "<key>=<value>" without kPrefix.
Status take(std::string_view item, FilterConfig& config) {
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) {
        return failure(EINVAL, fmt::format("'{}{}' is not key=value", kPrefix, item));
    }
    const std::string_view name = item.substr(0, equals);
    const auto* const key = std::ranges::find(kKeys, name, &Key::name);
    if (key == std::end(kKeys)) {
        std::vector<std::string_view> names;
        for (const Key& known : kKeys) {
            names.push_back(known.name);
        }
        return failure(EINVAL,
                       fmt::format("unknown key '{}{}' (of filters there are: {}{})", kPrefix, name,
                                   kPrefix, fmt::join(names, fmt::format(", {}", kPrefix))));
    }
    if (const Status set = key->set(item.substr(equals + 1), config); !set) {
        return failure(EINVAL, fmt::format("{}{}: {}", kPrefix, name, set.error().what));
    }
    return {};
}

Status check(const FilterConfig& config) {
    for (const FilterOptions& options : config.stack) {
        const auto* const throttle = std::get_if<ThrottleOptions>(&options);
        if (throttle != nullptr && throttle->iops == 0 && throttle->rate == 0) {
            return failure(EINVAL,
                           "filter.throttle.burst needs filter.throttle.iops or "
                           "filter.throttle.rate");
        }
    }
    return {};
}

}  // namespace

Result<FilterConfig> FilterConfig::parse(std::string_view config) {
    FilterConfig parsed;
    std::set<std::string_view> seen;
    std::size_t end = config.find(';');
    parsed.handler = config.substr(0, end);
    while (end != std::string_view::npos) {
        config.remove_prefix(end + 1);
        end = config.find(';');
        const std::string_view item = config.substr(0, end);
        if (!item.starts_with(kPrefix)) {
            parsed.handler += fmt::format(";{}", item);
            continue;
        }
        if (const std::string_view key = item.substr(0, item.find('=')); !seen.insert(key).second) {
            return failure(EINVAL, fmt::format("key '{}' is given twice", key));
        }
        CHECK(take(item.substr(kPrefix.size()), parsed));
    }
    CHECK(check(parsed));
    return parsed;
}

}  // namespace lunkit::filters
