// SPDX-License-Identifier: Apache-2.0
#include "rig/replayer.hpp"

#include <algorithm>
#include <cstring>

namespace lunkit::qcow_rig {

namespace {

using Kind = FileEvent::Kind;

std::uint64_t sectors_up(std::uint64_t bytes) {
    return (bytes + kSector - 1) / kSector;
}

/// The bytes an event changes; a resize that cuts changes what it cuts off.
Place range_of(const FileEvent& event) {
    if (event.kind != Kind::kResize) {
        return {event.offset, event.length};
    }
    return event.offset < event.size_before ? Place{event.offset, event.size_before - event.offset}
                                            : Place{event.offset, 0};
}

/// Makes room for `end` bytes.
template <typename State>
void reach(State& file, std::uint64_t end) {
    const std::uint64_t sectors = sectors_up(end);
    if (file.order.size() < sectors) {
        file.order.resize(sectors);
        file.last.resize(sectors);
    }
    if (file.bytes.size() < sectors * kSector) {
        file.bytes.resize(sectors * kSector);
    }
}

/// The part of `event` that lies in [begin, end).
void put(Bytes& to, const FileEvent& event, bool late, std::uint64_t begin, std::uint64_t end) {
    const Place range = range_of(event);
    begin = std::max(begin, range.offset);
    end = std::min(end, range.offset + range.length);
    if (begin >= end) {
        return;
    }
    if (event.kind == Kind::kWrite) {
        const Bytes& from = late && !event.late_data.empty() ? event.late_data : event.data;
        std::memcpy(&to[begin], &from[begin - range.offset], end - begin);
    } else {
        std::memset(&to[begin], 0, end - begin);
    }
}

}  // namespace

const char* name_of(Survival survival) {
    constexpr const char* kNames[] = {"none",   "all",  "prefix",
                                      "subset", "torn", "what had completed"};
    return kNames[static_cast<std::size_t>(survival)];
}

Replayer::Replayer(const WriteLog& log, std::uint64_t seed) : log_(log), random_(seed) {
    for (const WriteLog::File& file : log.files()) {
        FileState& state = files_.emplace_back();
        state.bytes = file.initial;
        state.size = file.initial.size();
        reach(state, state.size);
    }
}

bool Replayer::anything_pending() const {
    return std::ranges::any_of(files_, [](const FileState& file) {
        return !file.pending.empty() || !file.in_flight.empty();
    });
}

bool Replayer::advance() {
    if (time_ >= log_.steps().size()) {
        return false;
    }
    const Step& step = log_.steps()[time_];
    worth_a_cut_ = step.kind == Step::Kind::kGuest;
    moved_the_barrier_ = step.kind != Step::Kind::kIssue;
    if (step.kind == Step::Kind::kIssue) {
        issued(step.event);
    } else if (step.kind == Step::Kind::kComplete) {
        completed(step.event);
    }
    ++time_;
    return true;
}

void Replayer::issued(std::uint32_t index) {
    const FileEvent& event = log_.events()[index];
    if (event.kind != Kind::kFlush) {
        files_[event.file].in_flight.push_back(index);
        worth_a_cut_ = true;
    }
}

void Replayer::completed(std::uint32_t index) {
    const FileEvent& event = log_.events()[index];
    FileState& file = files_[event.file];
    worth_a_cut_ = event.kind == Kind::kFlush || event.fua;
    if (event.kind == Kind::kFlush) {
        cover(file, event.issued);
        return;
    }
    std::erase(file.in_flight, index);
    file.pending.push_back(index);
    if (event.fua) {
        cover_itself(file, index);
    }
}

void Replayer::make_durable(FileState& file, const FileEvent& event, std::uint64_t begin,
                            std::uint64_t end) {
    const Place range = range_of(event);
    const std::uint64_t range_end = range.offset + range.length;
    if (event.kind == Kind::kWrite) {
        reach(file, range_end);
    }
    begin = std::max(begin, range.offset);
    end = std::min({end, range_end, static_cast<std::uint64_t>(file.bytes.size())});
    for (std::uint64_t s = begin / kSector; begin < end && s < sectors_up(end); ++s) {
        if (event.completed > file.order[s]) {
            put(file.bytes, event, true, std::max(begin, s * kSector),
                std::min(end, (s + 1) * kSector));
            file.order[s] = event.completed;
        }
    }
    const std::uint64_t size = event.kind == Kind::kResize  ? event.offset
                               : event.kind == Kind::kWrite ? std::max(file.size, end)
                                                            : file.size;
    if (size != file.size && event.completed > file.size_order) {
        reach(file, size);
        file.size = size;
        file.size_order = event.completed;
    }
}

void Replayer::cover(FileState& file, Time flush_issued) {
    const auto covered = [&](std::uint32_t index) {
        return log_.events()[index].completed < flush_issued;
    };
    for (const std::uint32_t index : file.pending) {
        if (covered(index)) {
            make_durable(file, log_.events()[index], 0, UINT64_MAX);
        }
    }
    std::erase_if(file.pending, covered);
}

void Replayer::cover_itself(FileState& file, std::uint32_t index) {
    const FileEvent& event = log_.events()[index];
    const std::uint64_t begin = event.offset / kSector * kSector;
    const std::uint64_t end = sectors_up(event.offset + event.length) * kSector;
    for (const std::uint32_t earlier : file.pending) {
        if (log_.events()[earlier].kind != Kind::kResize) {
            make_durable(file, log_.events()[earlier], begin, end);
        }
    }
    std::erase(file.pending, index);
}

void Replayer::choose(FileState& file, const FileEvent& event, std::uint32_t position, bool torn) {
    const Place range = range_of(event);
    reach(file, range.offset + range.length);
    const std::uint64_t end = sectors_up(range.offset + range.length);
    for (std::uint64_t s = range.offset / kSector; range.length > 0 && s < end; ++s) {
        if (torn && coin()) {
            continue;
        }
        if (file.last[s] == 0) {
            file.touched.push_back(static_cast<std::uint32_t>(s));
        }
        file.last[s] = position + 1;
    }
}

void Replayer::keep(std::uint32_t index, std::uint64_t sector) {
    const std::byte* const from = &files_[index].bytes[sector * kSector];
    undo_.push_back({index, sector, Bytes(from, from + kSector)});
}

/// Applies the sectors of `event` that survive.
void Replayer::replay_chosen(std::uint32_t index, const FileEvent& event, std::uint32_t position) {
    FileState& file = files_[index];
    const Place range = range_of(event);
    std::uint64_t reached = 0;
    const std::uint64_t end = sectors_up(range.offset + range.length);
    for (std::uint64_t s = range.offset / kSector; range.length > 0 && s < end; ++s) {
        if (file.last[s] < position + 1 || event.completed < file.order[s]) {
            continue;
        }
        put(file.bytes, event, coin(), s * kSector, (s + 1) * kSector);
        reached = std::min((s + 1) * kSector, range.offset + range.length);
    }
    if (event.kind == Kind::kWrite) {
        file.size = std::max(file.size, reached);
    }
}

void Replayer::apply(Survival survival) {
    sizes_.clear();
    for (std::uint32_t index = 0; index < files_.size(); ++index) {
        FileState& file = files_[index];
        sizes_.emplace_back(file.size, file.bytes.size());
        if (survival == Survival::kNone) {
            continue;
        }
        std::vector<std::uint32_t> order = file.pending;
        std::ranges::shuffle(file.in_flight, random_);
        order.insert(order.end(), file.in_flight.begin(), file.in_flight.end());
        const std::size_t prefix = order.empty() ? 0 : random_() % (order.size() + 1);
        std::vector<bool> chosen(order.size());
        for (std::uint32_t i = 0; i < order.size(); ++i) {
            const bool completed = survival == Survival::kKilled && i < file.pending.size();
            chosen[i] = survival == Survival::kAll || completed ||
                        (survival == Survival::kPrefix ? i < prefix : coin());
            const bool may_tear = survival == Survival::kTorn || survival == Survival::kKilled;
            const bool torn = may_tear && !completed && coin();
            if (chosen[i] || torn) {
                choose(file, log_.events()[order[i]], i, torn);
            }
        }
        for (const std::uint32_t sector : file.touched) {
            keep(index, sector);
        }
        for (std::uint32_t i = 0; i < order.size(); ++i) {
            const FileEvent& event = log_.events()[order[i]];
            replay_chosen(index, event, i);
            if (event.kind == Kind::kResize && chosen[i]) {
                reach(file, event.offset);
                file.size = event.offset;
            }
        }
        for (const std::uint32_t sector : file.touched) {
            file.last[sector] = 0;
        }
        file.touched.clear();
    }
}

void Replayer::restore() {
    for (const Undo& undo : undo_) {
        std::memcpy(&files_[undo.file].bytes[undo.sector * kSector], undo.bytes.data(), kSector);
    }
    undo_.clear();
    for (std::uint32_t index = 0; index < sizes_.size(); ++index) {
        files_[index].size = sizes_[index].first;
        files_[index].bytes.resize(sizes_[index].second);
    }
    sizes_.clear();
}

}  // namespace lunkit::qcow_rig
