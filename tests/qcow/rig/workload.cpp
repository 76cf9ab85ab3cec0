// SPDX-License-Identifier: Apache-2.0
#include "rig/workload.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "lunkit/io_request.hpp"

namespace lunkit::qcow_rig {

struct Workload::InFlight : lunkit_completion {
    explicit InFlight(Workload& workload) : lunkit_completion{}, owner(workload) {
        done = [](lunkit_completion* completion) {
            auto& self = *static_cast<InFlight*>(completion);
            self.owner.ended(self);
        };
    }
    Workload& owner;
    Verb verb = Verb::kRead;
    Range range{};
    std::uint32_t flags = 0;
    Time issued = 0;
    Generation generation = kZeros;
    Bytes bytes;
    std::array<iovec, 2> vectors{};
    Data real;
    std::optional<OpaqueData> opaque;
    IoRequest io;
};

Workload::Workload(const WorkloadOptions& options, Subject& subject, RecordingHost& host,
                   WriteLog& log, SectorModel& model)
    : options_(options),
      subject_(subject),
      host_(host),
      log_(log),
      model_(model),
      sectors_(model.sectors()),
      random_(options.seed),
      opaque_((random_() & 1) != 0) {}

Workload::~Workload() = default;

void Workload::found(std::string what) {
    if (!finding_) {
        finding_ = std::move(what);
    }
}

Workload::Range Workload::random_range() {
    const std::uint64_t sectors = sectors_;
    const std::uint64_t hot = options_.hot_bytes / kSector;
    const std::uint64_t first = below(hot == 0 || below(8) == 0 ? sectors : std::min(hot, sectors));
    // Lengths of every magnitude, short ones more often.
    const auto magnitudes = static_cast<unsigned>(std::bit_width(options_.longest / kSector));
    const std::uint64_t limit = 1ULL << below(magnitudes);
    std::uint64_t count = 1 + below(limit);
    std::uint64_t sector = first;
    if (below(4) == 0) {  // whole clusters of common sizes
        const std::uint64_t unit = 1ULL << (3 + below(5));
        sector = first / unit * unit;
        count = std::max<std::uint64_t>(1, count / unit) * unit;
    }
    return {sector, std::min({count, sectors - sector, options_.longest / kSector})};
}

void Workload::issue_random() {
    const Mix& mix = options_.mix;
    const Range range = random_range();
    const std::uint32_t fua = below(8) == 0 ? LUNKIT_IO_FUA : 0U;
    std::uint64_t dice = below(100);
    const auto falls = [&dice](unsigned share) {
        const bool yes = dice < share;
        dice -= yes ? 0 : share;
        return yes;
    };
    if (falls(mix.writes)) {
        issue(Verb::kWrite, range, 0);
    } else if (falls(mix.fua_writes)) {
        issue(Verb::kWrite, range, LUNKIT_IO_FUA);
    } else if (falls(mix.zeroes)) {
        issue(Verb::kWriteZeroes, range, fua | (below(2) == 0 ? LUNKIT_IO_MAY_UNMAP : 0U));
    } else if (falls(mix.discards)) {
        issue(Verb::kDiscard, range, fua);
    } else if (falls(mix.reads)) {
        issue(Verb::kRead, range, 0);
    } else {
        issue(Verb::kFlush, {0, 0}, 0);
    }
}

void Workload::issue(Verb verb, Range range, std::uint32_t flags) {
    if (!subject_.offers(verb)) {
        return;
    }
    in_flight_.push_back(std::make_unique<InFlight>(*this));
    InFlight& request = *in_flight_.back();
    request.verb = verb;
    request.range = range;
    request.flags = flags;
    request.issued = log_.guest_step();
    const bool promises_zeros = (subject_.info().flags & LUNKIT_DEVICE_DISCARD_ZEROES) != 0;
    if (verb == Verb::kWrite || verb == Verb::kWriteZeroes || verb == Verb::kDiscard) {
        const Change change = verb == Verb::kWrite                        ? Change::kWrite
                              : verb == Verb::kDiscard && !promises_zeros ? Change::kMaybeZero
                                                                          : Change::kZero;
        request.generation = model_.begin(change, range.sector, range.count, request.issued);
    }
    request.io = IoRequest(range.sector * kSector, range.count * kSector, flags);
    request.io.tag = request.generation;
    if (verb == Verb::kWrite || verb == Verb::kRead) {
        request.bytes.resize(range.count * kSector);
        for (std::uint64_t i = 0; verb == Verb::kWrite && i < range.count; ++i) {
            stamp_sector(&request.bytes[i * kSector], range.sector + i, request.generation);
        }
        const std::size_t split = below(request.bytes.size() + 1);
        request.vectors = {iovec{request.bytes.data(), split},
                           iovec{request.bytes.data() + split, request.bytes.size() - split}};
        request.real = Data(request.vectors, request.bytes.size());
        request.io.data = &request.real;
        if (opaque_) {
            request.io.data = &request.opaque.emplace(request.real);
        }
    }
    const int status = subject_.submit(verb, request.io, &request);
    if (status != LUNKIT_PENDING) {
        request.result = status < 0 ? status : request.result;
        ended(request);
    }
}

void Workload::ended(InFlight& request) {
    const Time now = log_.guest_step();
    if (request.result < 0) {
        ++failed_;
        const bool may = options_.errors_expected ||
                         (request.verb == Verb::kDiscard && request.result == -EOPNOTSUPP);
        if (!may) {
            found(fmt::format("a request (verb {}, sector {}, {} sectors) failed: {}",
                              static_cast<int>(request.verb), request.range.sector,
                              request.range.count,
                              std::strerror(static_cast<int>(-request.result))));
        }
    } else if (request.verb == Verb::kRead) {
        check_read(request, now);
    } else if (request.verb == Verb::kFlush) {
        model_.flushed(request.issued, now);
    } else {
        model_.complete(request.generation, now, (request.flags & LUNKIT_IO_FUA) != 0);
    }
    std::erase_if(in_flight_, [&](const auto& kept) { return kept.get() == &request; });
}

void Workload::check_read(const InFlight& request, Time now) {
    for (std::uint64_t i = 0; i < request.range.count; ++i) {
        const auto objection = model_.objection(request.range.sector + i,
                                                &request.bytes[i * kSector], request.issued, now);
        if (objection) {
            found("live read: " + *objection);
            return;
        }
    }
}

void Workload::settle() {
    while (host_.queue().step()) {
    }
}

std::optional<std::string> Workload::drain() {
    while (!in_flight_.empty()) {
        if (!host_.queue().step()) {
            found(fmt::format("{} requests wait for nothing", in_flight_.size()));
            for (auto& stuck : in_flight_) {
                (void)stuck.release();  // the handler still knows it
            }
            in_flight_.clear();
        }
    }
    return finding_;
}

void Workload::resize(std::uint64_t bytes) {
    const std::uint64_t sectors = std::min(bytes / kSector, model_.sectors());
    std::optional<Generation> cut;  // what lay behind reads as zeros, should the disk grow again
    if (sectors < sectors_) {
        cut = model_.begin(Change::kZero, sectors, sectors_ - sectors, log_.guest_step());
    }
    if (const Status status = subject_.resize(bytes); !status) {
        found("resizing: " + status.error().what);
    }
    if (cut) {
        model_.complete(*cut, log_.guest_step(), true);
    }
    sectors_ = sectors;
}

std::optional<std::string> Workload::run() {
    for (unsigned issued = 0; issued < options_.requests && !finding_;) {
        if (in_flight_.size() < options_.depth && below(3) != 0) {
            issue_random();
            ++issued;
        } else if (!in_flight_.empty() && !host_.queue().step()) {
            break;
        }
    }
    return drain();
}

std::optional<std::string> Workload::read_all() {
    constexpr std::uint64_t kPiece = 512;
    for (std::uint64_t at = 0; at < sectors_ && !finding_; at += kPiece) {
        perform(Verb::kRead, {at, std::min(kPiece, sectors_ - at)});
    }
    return finding_;
}

}  // namespace lunkit::qcow_rig
