// SPDX-License-Identifier: Apache-2.0
#include "filters/error.hpp"

#include <utility>

namespace lunkit::filters {

ErrorFilter::ErrorFilter(std::unique_ptr<BlockDevice> below, ErrorOptions options,
                         Surroundings world, std::uint64_t seed)
    : RequestFilter(std::move(below)),
      options_(std::move(options)),
      world_(std::move(world)),
      random_(seed) {}

bool ErrorFilter::concerns(Deed deed) const {
    switch (options_.of) {
        case ErrorOptions::Of::kAny:
            return true;
        case ErrorOptions::Of::kRead:
            return deed == Deed::kRead;
        case ErrorOptions::Of::kWrite:
            return deed == Deed::kWrite || deed == Deed::kChange;
        case ErrorOptions::Of::kFlush:
            return deed == Deed::kFlush;
    }
    return false;
}

/// Any thread: by splitmix64 (Steele, Lea, Flood 2014), whose state is a counter.
bool ErrorFilter::draw() {
    constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15;
    std::uint64_t z = random_.fetch_add(kStep, std::memory_order_relaxed) + kStep;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111eb;
    return ((z ^ (z >> 31U)) >> 32U) % kWhole < options_.share;
}

Task<bool> ErrorFilter::is_on(Queue& queue) {
    if (options_.file.empty()) {
        co_return true;
    }
    const std::int64_t now = world_.now().count();
    if (now >= look_at_.load(std::memory_order_relaxed)) {
        const Outcome looked = co_await queue.offload(this, [this] {
            const Result<bool> found = world_.file_exists(options_.file);
            return std::int64_t{found && *found ? 1 : 0};
        });
        is_there_.store(looked.result == 1, std::memory_order_relaxed);
        look_at_.store(now + std::chrono::nanoseconds(kLookEvery).count(),
                       std::memory_order_relaxed);
    }
    co_return is_there_.load(std::memory_order_relaxed);
}

Task<Status> ErrorFilter::admit(Queue& queue, Deed deed, std::uint64_t /*length*/) {
    if (!concerns(deed)) {
        co_return Status{};
    }
    const bool on = co_await is_on(queue);
    if (on && draw()) {
        co_return failure(options_.code);
    }
    co_return Status{};
}

}  // namespace lunkit::filters
