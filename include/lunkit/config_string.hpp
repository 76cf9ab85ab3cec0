// SPDX-License-Identifier: Apache-2.0
// Configuration strings of handlers: `<path or name>[;key=value]...` (what follows "<handler>/").
#pragma once

#include <cerrno>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "lunkit/result.hpp"

namespace lunkit {

/// A parsed configuration string. Every key must be taken by somebody: finish() names those nobody
/// knows, so that a misspelt key is an error and not a silent default.
class ConfigString {
  public:
    static Result<ConfigString> parse(std::string_view text) {
        ConfigString config;
        std::size_t end = text.find(';');
        config.target_ = std::string(text.substr(0, end));
        while (end != std::string_view::npos) {
            text.remove_prefix(end + 1);
            end = text.find(';');
            const std::string_view item = text.substr(0, end);
            const std::size_t equals = item.find('=');
            if (equals == std::string_view::npos || equals == 0) {
                return failure(EINVAL, quoted(item) + " is not key=value");
            }
            const std::string_view key = item.substr(0, equals);
            for (const Entry& entry : config.entries_) {
                if (entry.key == key) {
                    return failure(EINVAL, "key " + quoted(key) + " is given twice");
                }
            }
            config.entries_.push_back(
                {std::string(key), std::string(item.substr(equals + 1)), false});
        }
        return config;
    }

    /// The part before the first ';'.
    [[nodiscard]] const std::string& target() const { return target_; }

    [[nodiscard]] Result<std::string> text(std::string_view key, std::string_view fallback) {
        const Entry* entry = take(key);
        return entry == nullptr ? std::string(fallback) : entry->value;
    }
    /// on|off|yes|no|true|false|1|0
    [[nodiscard]] Result<bool> boolean(std::string_view key, bool fallback) {
        const Entry* entry = take(key);
        if (entry == nullptr) {
            return fallback;
        }
        const std::string& value = entry->value;
        if (value == "on" || value == "yes" || value == "true" || value == "1") {
            return true;
        }
        if (value == "off" || value == "no" || value == "false" || value == "0") {
            return false;
        }
        return failure(EINVAL, std::string(key) + "=" + value + ": expected on or off");
    }
    /// Bytes, with an optional suffix K, M, G or T (powers of 1024).
    [[nodiscard]] Result<std::uint64_t> bytes(std::string_view key, std::uint64_t fallback) {
        const Entry* entry = take(key);
        if (entry == nullptr) {
            return fallback;
        }
        return parse_bytes(key, entry->value);
    }
    /// Fails when a key was given that nobody took.
    [[nodiscard]] Status finish() const {
        for (const Entry& entry : entries_) {
            if (!entry.taken) {
                return failure(EINVAL, "unknown key " + quoted(entry.key));
            }
        }
        return {};
    }

  private:
    struct Entry {
        std::string key;
        std::string value;
        bool taken;
    };

    static std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

    Entry* take(std::string_view key) {
        for (Entry& entry : entries_) {
            if (entry.key == key) {
                entry.taken = true;
                return &entry;
            }
        }
        return nullptr;
    }
    static Result<std::uint64_t> parse_bytes(std::string_view key, std::string_view value) {
        const auto bad = [&] {
            return failure(EINVAL, std::string(key) + "=" + std::string(value) +
                                       ": expected a size such as 512M");
        };
        std::string_view digits = value;
        unsigned shift = 0;
        if (!digits.empty()) {
            const std::size_t suffix = std::string_view("KMGT").find(digits.back());
            if (suffix != std::string_view::npos) {
                shift = 10 * (static_cast<unsigned>(suffix) + 1);
                digits.remove_suffix(1);
            }
        }
        if (digits.empty() || digits.size() > 19) {
            return bad();
        }
        std::uint64_t number = 0;
        for (const char digit : digits) {
            if (digit < '0' || digit > '9') {
                return bad();
            }
            number = number * 10 + static_cast<std::uint64_t>(digit - '0');
        }
        if (number > (std::numeric_limits<std::uint64_t>::max() >> shift)) {
            return bad();
        }
        return number << shift;
    }

    std::string target_;
    std::vector<Entry> entries_;
};

}  // namespace lunkit
