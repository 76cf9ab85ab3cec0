// SPDX-License-Identifier: Apache-2.0
#include "rig/sector_model.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <ranges>
#include <utility>

#include <fmt/format.h>

namespace lunkit::qcow_rig {

namespace {

constexpr std::size_t kWords = kSector / sizeof(std::uint64_t);

std::uint64_t stamp(std::uint64_t sector, Generation generation) {
    return (std::uint64_t{generation} << 32) | (sector & 0xffff'ffff);
}

}  // namespace

void stamp_sector(std::byte* to, std::uint64_t sector, Generation generation) {
    if (generation == kZeros) {
        std::memset(to, 0, kSector);
        return;
    }
    // Alike words compress; every other one is inverted, so that no shift of the sector fits.
    const std::uint64_t word = stamp(sector, generation);
    for (std::size_t i = 0; i < kWords; ++i) {
        const std::uint64_t put = (i & 1) == 0 ? word : ~word;
        std::memcpy(to + i * sizeof put, &put, sizeof put);
    }
}

std::optional<Generation> stamp_of(const std::byte* from, std::uint64_t sector) {
    std::array<std::uint64_t, kWords> words;
    std::memcpy(words.data(), from, kSector);
    const std::uint64_t first = words[0];
    const std::uint64_t other = first == 0 ? 0 : ~first;
    // Without a way out, so that it becomes vector instructions: this is where a cut's time goes.
    std::uint64_t difference = 0;
    for (std::size_t i = 0; i < kWords; i += 2) {
        difference |= (words[i] ^ first) | (words[i + 1] ^ other);
    }
    if (difference != 0) {
        return {};
    }
    if (first == 0) {
        return kZeros;
    }
    const auto generation = static_cast<Generation>(first >> 32);
    if (generation == kZeros || first != stamp(sector, generation)) {
        return {};
    }
    return generation;
}

std::string describe(const std::byte* from) {
    std::array<std::uint64_t, kWords> words{};
    std::memcpy(words.data(), from, kSector);
    const bool whole = std::ranges::all_of(std::views::iota(std::size_t{0}, kWords), [&](auto i) {
        return words[i] == ((i & 1) == 0 || words[0] == 0 ? words[0] : ~words[0]);
    });
    if (!whole) {
        return fmt::format("a mixture ({:#018x} {:#018x} ... {:#018x})", words[0], words[1],
                           words[kWords - 2]);
    }
    return words[0] == 0
               ? "zeros"
               : fmt::format("generation {} of sector {}", words[0] >> 32, words[0] & 0xffff'ffff);
}

SectorModel::SectorModel(std::vector<bool> initial)
    : initial_(std::move(initial)), by_sector_(initial_.size()), bounds_(initial_.size()) {}

Generation SectorModel::begin(Change change, std::uint64_t sector, std::uint64_t count, Time now) {
    requests_.push_back({change, sector, count, now});
    const auto generation = static_cast<Generation>(requests_.size() + kInitial);
    for (std::uint64_t s = sector; s < sector + count; ++s) {
        by_sector_[s].push_back(generation);
    }
    return generation;
}

void SectorModel::complete(Generation generation, Time now, bool durable) {
    Request& done = requests_[generation - kInitial - 1];
    done.completed = now;
    if (durable) {
        done.durable = now;
    }
}

void SectorModel::flushed(Time issued, Time now) {
    for (Request& done : requests_) {
        if (done.completed < issued) {
            done.durable = std::min(done.durable, now);
        }
    }
}

bool SectorModel::may_show(std::uint64_t sector, Generation shown, Time bound, Time now) const {
    // Content from before the run was complete at time 0; bound is 0 until something replaces it.
    const bool initial_allowed = bound == 0;
    if (shown == kInitial) {
        return initial_allowed && initial_[sector];
    }
    const auto visible = [&](const Request& made) {
        return made.issued < now && (made.completed >= bound || made.completed == kNever);
    };
    if (shown != kZeros) {
        if (shown - kInitial > requests_.size()) {
            return false;
        }
        const Request& made = request(shown);
        return made.change == Change::kWrite && sector >= made.sector &&
               sector < made.sector + made.count && visible(made);
    }
    return (initial_allowed && !initial_[sector]) ||
           std::ranges::any_of(by_sector_[sector], [&](Generation generation) {
               return request(generation).change != Change::kWrite && visible(request(generation));
           });
}

std::optional<std::string> SectorModel::judge(std::uint64_t sector, const std::byte* from,
                                              Time bound, Time now) const {
    const std::optional<Generation> shown = stamp_of(from, sector);
    if (shown && may_show(sector, *shown, bound, now)) {
        return {};
    }
    std::string history = initial_[sector] ? "initially 1" : "initially zeros";
    for (const Generation generation : by_sector_[sector]) {
        const Request& made = request(generation);
        if (made.issued < now) {
            history += fmt::format(
                "; {} {} issued {} completed {} durable {}", generation,
                made.change == Change::kWrite ? "write" : "zero", made.issued,
                made.completed == kNever ? -1 : static_cast<std::int64_t>(made.completed),
                made.durable == kNever ? -1 : static_cast<std::int64_t>(made.durable));
        }
    }
    return fmt::format("sector {} holds {}, not allowed at time {} ({})", sector, describe(from),
                       now, history);
}

std::optional<std::string> SectorModel::objection(std::uint64_t sector, const std::byte* from,
                                                  Time read_issued, Time now) const {
    Time bound = 0;
    for (const Generation generation : by_sector_[sector]) {
        const Request& made = request(generation);
        if (made.change != Change::kMaybeZero && made.completed < read_issued) {
            bound = std::max(bound, made.issued);
        }
    }
    return judge(sector, from, bound, now);
}

void SectorModel::cut_at(Time time) {
    if (by_durability_.size() != requests_.size()) {
        by_durability_.resize(requests_.size());
        std::iota(by_durability_.begin(), by_durability_.end(), kInitial + 1);
        std::ranges::sort(by_durability_, {},
                          [this](Generation g) { return std::pair(request(g).durable, g); });
    }
    while (durable_count_ < by_durability_.size()) {
        const Request& made = request(by_durability_[durable_count_]);
        if (made.durable >= time) {
            break;
        }
        ++durable_count_;
        if (made.change != Change::kMaybeZero) {
            for (std::uint64_t s = made.sector; s < made.sector + made.count; ++s) {
                bounds_[s] = std::max(bounds_[s], made.issued);
            }
        }
    }
    cut_ = time;
}

std::optional<std::string> SectorModel::objection_after_cut(std::uint64_t sector,
                                                            const std::byte* from) const {
    return judge(sector, from, bounds_[sector], cut_);
}

void SectorModel::rewind() {
    std::ranges::fill(bounds_, 0);
    durable_count_ = 0;
    cut_ = 0;
}

}  // namespace lunkit::qcow_rig
