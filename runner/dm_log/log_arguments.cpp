// SPDX-License-Identifier: Apache-2.0
#include "dm_log/log_arguments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <vector>

#include "dm_log/abi.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_log {

namespace {

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        if (end > 0) {
            words.push_back(text.substr(0, end));
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

Result<std::uint64_t> parse_sectors(std::string_view word, std::string_view what) {
    std::uint64_t value = 0;
    const char* const end = word.data() + word.size();
    const auto [rest, error] = std::from_chars(word.data(), end, value);
    if (error != std::errc() || rest != end || value == 0) {
        return failure(EINVAL, fmt::format("'{}' is no {}", word, what));
    }
    return value;
}

Status check_region_size(const LogArguments& log) {
    if (!std::has_single_bit(log.region_size) || log.region_size < 2 ||
        log.region_size > log.device_sectors) {
        return failure(EINVAL, fmt::format("a region size of {} sectors: it must be a power of two "
                                           "from 2 to the length of the mirror, {}",
                                           log.region_size, log.device_sectors));
    }
    if (log.regions() > kMaxRegions) {
        return failure(EINVAL, fmt::format("{} regions are more than {}: take larger ones",
                                           log.regions(), kMaxRegions));
    }
    return {};
}

Status take_option(LogArguments& log, std::string_view word) {
    if (word == "block_on_error" && !log.block_on_error) {
        log.block_on_error = true;
    } else if (word == "sync" && log.start == Start::kDefault) {
        log.start = Start::kSync;
    } else if (word == "nosync" && log.start == Start::kDefault) {
        log.start = Start::kNosync;
    } else {
        return failure(EINVAL, fmt::format("'{}' is not one of sync, nosync, block_on_error, "
                                           "or one too many",
                                           word));
    }
    return {};
}

}  // namespace

Result<LogArguments> parse_log_arguments(std::string_view text) {
    // The kernel sends the text once more with a NUL when it has lost its daemon.
    if (text.size() >= abi::kDataRoom) {
        return failure(EINVAL, fmt::format("the arguments are too long: {} bytes, and {} are the "
                                           "most that can be passed on twice",
                                           text.size(), abi::kDataRoom - 1));
    }
    const std::vector<std::string_view> words = words_of(text);
    if (text.find('\0') != std::string_view::npos || words.size() < 3) {
        return failure(EINVAL,
                       "the arguments of a log are: core REGION_SIZE, or disk PATH "
                       "REGION_SIZE");
    }
    LogArguments log;
    TRY(log.device_sectors, parse_sectors(words[0], "length of a device"));
    std::size_t next = 2;
    if (words[1] == "disk") {
        log.kind = LogKind::kDisk;
        log.path = words[next++];
        if (!log.path.starts_with('/')) {
            return failure(EINVAL, fmt::format("'{}' is not an absolute path", log.path));
        }
    } else if (words[1] != "core") {
        return failure(EINVAL, fmt::format("'{}' is no kind of log: core and disk are", words[1]));
    }
    if (next == words.size()) {
        return failure(EINVAL, "the region size is missing");
    }
    TRY(log.region_size, parse_sectors(words[next++], "region size"));
    CHECK(check_region_size(log));
    for (; next < words.size(); ++next) {
        CHECK(take_option(log, words[next]));
    }
    return log;
}

}  // namespace lunkit::dm_log
