// SPDX-License-Identifier: Apache-2.0
#include "dm_log/dirty_log.hpp"

#include <algorithm>

namespace lunkit::dm_log {

DirtyLog::DirtyLog(std::uint64_t regions, std::span<std::uint64_t> memory)
    : clean_(memory.first(RegionBits::words_for(regions)), regions),
      sync_(memory.subspan(RegionBits::words_for(regions), RegionBits::words_for(regions)),
            regions) {}

void DirtyLog::begin(std::span<const std::uint64_t> clean, std::uint64_t known,
                     bool beyond_is_clean) {
    clean_.assign(clean, known, beyond_is_clean);
    sync_.assign(clean_.words(), regions(), false);
    adopt();
}

void DirtyLog::adopt() {
    begun_ = true;
    clean_.trim();
    sync_.trim();
    clean_count_ = clean_.count();
    sync_count_ = sync_.count();
    everything_changed();
}

void DirtyLog::resume() {
    sync_.assign(clean_.words(), regions(), false);
    sync_count_ = clean_count_;
    handed_out_.reset();
    search_from_ = 0;
}

void DirtyLog::mark(std::uint64_t region) {
    if (clean_.reset(region)) {
        --clean_count_;
        changed(region);
        changes_.has_marks = true;
    }
}

void DirtyLog::clear(std::uint64_t region) {
    if (in_sync(region) && clean_.set(region)) {
        ++clean_count_;
        changed(region);
    }
}

void DirtyLog::set_in_sync(std::uint64_t region, bool in_sync) {
    if (handed_out_ == region) {
        handed_out_.reset();
    }
    if (in_sync) {
        sync_count_ += sync_.set(region) ? 1 : 0;
        return;
    }
    sync_count_ -= sync_.reset(region) ? 1 : 0;
    mark(region);
}

std::optional<std::uint64_t> DirtyLog::next_work() {
    if (!handed_out_) {
        handed_out_ = sync_.first_zero(search_from_);
        search_from_ = handed_out_ ? *handed_out_ + 1 : regions();
    }
    return handed_out_;
}

DirtyLog::Changes DirtyLog::take_changes() {
    const Changes taken = changes_;
    changes_ = {};
    return taken;
}

void DirtyLog::put_back(const Changes& changes) {
    if (changes.empty()) {
        return;
    }
    changes_ = changes_.empty() ? changes
                                : Changes{std::min(changes_.first_word, changes.first_word),
                                          std::max(changes_.end_word, changes.end_word),
                                          changes_.has_marks || changes.has_marks};
}

void DirtyLog::changed(std::uint64_t region) {
    const std::size_t word = static_cast<std::size_t>(region / RegionBits::kWordBits);
    put_back({word, word + 1, false});
}

void DirtyLog::everything_changed() {
    changes_ = {0, clean_.words().size(), true};
}

}  // namespace lunkit::dm_log
