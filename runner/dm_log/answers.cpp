// SPDX-License-Identifier: Apache-2.0
#include "dm_log/answers.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace lunkit::dm_log {

namespace {

using abi::RequestType;

constexpr std::size_t kNumber = sizeof(std::uint64_t);
constexpr std::size_t kStatusRoom = 256;

Answer invalid() {
    return Answer::failed(EINVAL);
}

/// How many regions the data names, if it is an array of regions that there are.
std::optional<std::size_t> regions_in(const DirtyLog& log, const Request& request) {
    const std::size_t count = request.head.data_size / kNumber;
    if (!request.has_numbers(count)) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < count; ++i) {
        if (request.number(i) >= log.regions()) {
            return std::nullopt;
        }
    }
    return count;
}

/// MARK_REGION, CLEAR_REGION, FLUSH: u64 regions[] -> nothing.
Answer for_each_region(DirtyLog& log, const Request& request,
                       void (DirtyLog::*change)(std::uint64_t region)) {
    const auto count = regions_in(log, request);
    if (!count) {
        return invalid();
    }
    for (std::size_t i = 0; i < *count; ++i) {
        (log.*change)(request.number(i));
    }
    return {};
}

/// IS_CLEAN, IN_SYNC: u64 region -> s64 0 or 1.
Answer ask_region(const DirtyLog& log, const Request& request,
                  bool (DirtyLog::*question)(std::uint64_t region) const) {
    if (!request.has_numbers(1) || request.number(0) >= log.regions()) {
        return invalid();
    }
    return Answer::number((log.*question)(request.number(0)) ? 1 : 0);
}

/// SET_REGION_SYNC: {u64 region, s64 in_sync} -> nothing.
Answer set_region_sync(DirtyLog& log, const Request& request) {
    if (!request.has_numbers(2) || request.number(0) >= log.regions()) {
        return invalid();
    }
    log.set_in_sync(request.number(0), request.number(1) != 0);
    return {};
}

/// GET_RESYNC_WORK: nothing -> {s64 have, u64 region}.
Answer resync_work(DirtyLog& log) {
    const auto region = log.next_work();
    return Answer::numbers(region ? 1 : 0, region.value_or(0));
}

/// IS_REMOTE_RECOVERING: u64 region -> {s64 is_recovering, u64 in_sync_hint}. There are no others.
/// The kernel asks no more for regions below the hint, nor, once it is the number of regions, for
/// resync work until the next resume; and while it asks, a write waits up to 250 ms.
Answer remote_recovering(const DirtyLog& log, const Request& request) {
    if (!request.has_numbers(1) || request.number(0) >= log.regions()) {
        return invalid();
    }
    const bool is_in_sync = log.sync_count() == log.regions();
    return Answer::numbers(0, is_in_sync ? log.regions() : log.regions() - 1);
}

/// The kernel uses the log, so it was resumed, though nobody was here to hear that. All regions
/// are out of sync, and a RESUME that comes late must not change that.
void take_into_use(DirtyLog& log) {
    if (!log.has_begun()) {
        log.adopt();
    }
}

}  // namespace

Answer answer_for(DirtyLog& log, const LogArguments& arguments, const LogText& text,
                  const Request& request) {
    const auto type = request.type();
    if (!type) {
        return invalid();
    }
    switch (*type) {
        case RequestType::kFlush:
        case RequestType::kMarkRegion:
            take_into_use(log);
            return for_each_region(log, request, &DirtyLog::mark);
        case RequestType::kClearRegion:
            return for_each_region(log, request, &DirtyLog::clear);
        case RequestType::kSetRegionSync:
            take_into_use(log);
            return set_region_sync(log, request);
        case RequestType::kIsClean:
            return ask_region(log, request, &DirtyLog::is_clean);
        case RequestType::kInSync:
            return ask_region(log, request, &DirtyLog::in_sync);
        case RequestType::kIsRemoteRecovering:
            return remote_recovering(log, request);
        default:
            break;
    }
    // The others come without data; CTR does not come here.
    if (!request.data().empty()) {
        return invalid();
    }
    switch (*type) {
        case RequestType::kGetRegionSize:  // -> u64 sectors
            return Answer::number(arguments.region_size);
        case RequestType::kGetSyncCount:  // -> u64 regions
            return Answer::number(log.sync_count());
        case RequestType::kGetResyncWork:
            take_into_use(log);
            return resync_work(log);
        case RequestType::kStatusInfo:  // -> string
            return Answer::text(text.status);
        case RequestType::kStatusTable:  // -> string
            return Answer::text(text.table);
        case RequestType::kPresuspend:
        case RequestType::kPostsuspend:
            return {};
        default:
            return invalid();
    }
}

Answer unknown_log(const Request& request) {
    const auto type = request.type();
    if (!type) {
        return invalid();
    }
    switch (*type) {
        case RequestType::kIsClean:
        case RequestType::kInSync:
        case RequestType::kGetSyncCount:
        case RequestType::kGetRegionSize:
            return Answer::failed_with_room(ESRCH, kNumber);
        case RequestType::kGetResyncWork:
        case RequestType::kIsRemoteRecovering:
            return Answer::failed_with_room(ESRCH, 2 * kNumber);
        case RequestType::kStatusInfo:
        case RequestType::kStatusTable:
            return Answer::failed_with_room(ESRCH, kStatusRoom);
        case RequestType::kDtr:
            return {};  // it is gone
        default:
            return Answer::failed(ESRCH);
    }
}

}  // namespace lunkit::dm_log
