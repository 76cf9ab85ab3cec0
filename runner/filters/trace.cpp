// SPDX-License-Identifier: Apache-2.0
#include "filters/trace.hpp"

#include <fmt/format.h>

#include <string_view>
#include <system_error>
#include <utility>

#include "core/log.hpp"

namespace lunkit::filters {

namespace {

std::string described(std::string_view verb, const IoRequest& io) {
    struct Flag {
        std::uint32_t bit;
        std::string_view name;
    };
    constexpr Flag kFlags[] = {{LUNKIT_IO_FUA, "fua"},
                               {LUNKIT_IO_MAY_UNMAP, "may-unmap"},
                               {LUNKIT_IO_ANCHOR, "anchor"},
                               {LUNKIT_IO_DPO, "dpo"},
                               {LUNKIT_IO_NO_FALLBACK, "no-fallback"},
                               {LUNKIT_IO_ATOMIC, "atomic"},
                               {LUNKIT_IO_REPLAY, "replay"},
                               {LUNKIT_IO_ALL_ZONES, "all-zones"}};
    std::string text = fmt::format("{} {} bytes at {}", verb, io.length, io.offset);
    for (const Flag& flag : kFlags) {
        if ((io.flags & flag.bit) != 0) {
            text += fmt::format(" {}", flag.name);
        }
    }
    return text;
}

std::string_view name_of(ZoneAction action) {
    switch (action) {
        case ZoneAction::kOpen:
            return "open_zones";
        case ZoneAction::kClose:
            return "close_zones";
        case ZoneAction::kFinish:
            return "finish_zones";
        case ZoneAction::kReset:
            return "reset_zones";
    }
    return "zones";
}

template <typename T>
const Error* error_of(const T& result) {
    return result ? nullptr : &result.error();
}

}  // namespace

TraceFilter::TraceFilter(std::unique_ptr<BlockDevice> below, Surroundings world)
    : ForwardingDevice(std::move(below)), world_(std::move(world)) {}

void TraceFilter::tell(const std::string& what, std::chrono::nanoseconds begun,
                       const Error* error) const {
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(world_.now() - begun);
    const std::string outcome =
        error != nullptr ? ": " + std::generic_category().message(error->code) : "";
    core::log(core::LogLevel::kInfo, {.device = world_.label()}, "{}{}, {} us", what, outcome,
              took.count());
}

/// `work` has not begun: a Task does when it is awaited.
template <typename T>
Task<T> TraceFilter::traced(std::string what, Task<T> work) {
    const std::chrono::nanoseconds begun = world_.now();
    T result = co_await std::move(work);
    tell(what, begun, error_of(result));
    co_return result;
}

Task<Status> TraceFilter::read(Queue& queue, const IoRequest& io) {
    return traced(described("read", io), below().read(queue, io));
}

Task<Status> TraceFilter::write(Queue& queue, const IoRequest& io) {
    return traced(described("write", io), below().write(queue, io));
}

Task<Status> TraceFilter::flush(Queue& queue) {
    return traced("flush", below().flush(queue));
}

Task<Status> TraceFilter::discard(Queue& queue, const IoRequest& io) {
    return traced(described("discard", io), below().discard(queue, io));
}

Task<Status> TraceFilter::write_zeroes(Queue& queue, const IoRequest& io) {
    return traced(described("write_zeroes", io), below().write_zeroes(queue, io));
}

Task<Status> TraceFilter::compare_and_write(Queue& queue, const IoRequest& io) {
    return traced(described("compare_and_write", io), below().compare_and_write(queue, io));
}

Task<Status> TraceFilter::or_write(Queue& queue, const IoRequest& io) {
    return traced(described("or_write", io), below().or_write(queue, io));
}

Task<Result<std::uint32_t>> TraceFilter::extents(Queue& queue, const IoRequest& io,
                                                 std::span<Extent> extents) {
    return traced(described("extents", io), below().extents(queue, io, extents));
}

Task<Result<std::uint32_t>> TraceFilter::report_zones(Queue& queue, const IoRequest& io,
                                                      std::span<Zone> zones) {
    return traced(described("report_zones", io), below().report_zones(queue, io, zones));
}

Task<Status> TraceFilter::manage_zones(Queue& queue, ZoneAction action, const IoRequest& io) {
    return traced(described(name_of(action), io), below().manage_zones(queue, action, io));
}

Task<Result<Space>> TraceFilter::space(Queue& queue) {
    return traced("space", below().space(queue));
}

Status TraceFilter::resize(std::uint64_t size) {
    const std::chrono::nanoseconds begun = world_.now();
    Status status = below().resize(size);
    tell(fmt::format("resize to {} bytes", size), begun, error_of(status));
    return status;
}

Status TraceFilter::set_write_cache(bool enabled) {
    const std::chrono::nanoseconds begun = world_.now();
    Status status = below().set_write_cache(enabled);
    tell(fmt::format("switch the write cache {}", enabled ? "on" : "off"), begun, error_of(status));
    return status;
}

}  // namespace lunkit::filters
