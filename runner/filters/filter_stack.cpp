// SPDX-License-Identifier: Apache-2.0
#include "filters/filter_stack.hpp"

#include <random>
#include <utility>
#include <variant>

#include "filters/delay.hpp"
#include "filters/error.hpp"
#include "filters/throttle.hpp"
#include "filters/trace.hpp"
#include "lunkit/try.hpp"

namespace lunkit::filters {

namespace {

std::uint64_t random_seed() {
    std::random_device source;
    return (std::uint64_t{source()} << 32U) | source();
}

/// What make() needs besides the options.
struct Below {
    std::unique_ptr<BlockDevice> device;
    const Surroundings& world;
    std::uint32_t block_size;
    std::uint64_t wanted;
    std::shared_ptr<PartEnd> end;
};

Result<std::unique_ptr<BlockDevice>> make(Below below, const DelayOptions& options) {
    return std::make_unique<DelayFilter>(std::move(below.device), options, below.world);
}

Result<std::unique_ptr<BlockDevice>> make(Below below, const ErrorOptions& options) {
    if (!options.file.empty()) {
        TRY([[maybe_unused]] const bool is_there, below.world.file_exists(options.file));
    }
    return std::make_unique<ErrorFilter>(std::move(below.device), options, below.world,
                                         random_seed());
}

Result<std::unique_ptr<BlockDevice>> make(Below below, const PartOptions& options) {
    return PartFilter::make(std::move(below.device), options, below.block_size, below.wanted,
                            std::move(below.end));
}

Result<std::unique_ptr<BlockDevice>> make(Below below, const ThrottleOptions& options) {
    return std::make_unique<ThrottleFilter>(std::move(below.device), options, below.world);
}

Result<std::unique_ptr<BlockDevice>> make(Below below, const TraceOptions& /*options*/) {
    return std::make_unique<TraceFilter>(std::move(below.device), below.world);
}

}  // namespace

FilterStack::FilterStack(FilterConfig config, Surroundings world)
    : config_(std::move(config)), world_(std::move(world)) {
    for (const FilterOptions& options : config_.stack) {
        if (const auto* const part = std::get_if<PartOptions>(&options)) {
            end_ = std::make_shared<PartEnd>(*part);
        }
    }
}

// A part is one of what is there.
std::uint64_t FilterStack::size_below(std::uint64_t wanted) const {
    return end_ ? 0 : wanted;
}

std::function<void(std::uint64_t size)> FilterStack::size_changed(
    std::function<void(std::uint64_t size)> told) const {
    if (!end_) {
        return told;
    }
    return [end = end_, told = std::move(told)](std::uint64_t below) {
        if (const std::uint64_t size = end->follow(below); size != 0 && told) {
            told(size);
        }
    };
}

Result<std::unique_ptr<BlockDevice>> FilterStack::put_in_front_of(
    std::unique_ptr<BlockDevice> handler, std::uint32_t block_size, std::uint64_t wanted) const {
    std::unique_ptr<BlockDevice> top = std::move(handler);
    for (const FilterOptions& one : config_.stack) {
        TRY(top, std::visit(
                     [&](const auto& options) {
                         return make({std::move(top), world_, block_size, wanted, end_}, options);
                     },
                     one));
    }
    return top;
}

}  // namespace lunkit::filters
