// SPDX-License-Identifier: Apache-2.0
// SectorModel: what a sector of the disk may hold, after a power cut or when it is read.
//
// Each request that changes sectors has a generation, and a written sector is stamped with its
// generation and number, so what is read names its origin. A request X may be seen in a sector
// unless a request Y that began after X had completed is certain to be there: durable when the
// power went, or completed before the read was issued. That is all that block storage promises;
// requests in flight together have no order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rig/write_log.hpp"

namespace lunkit::qcow_rig {

using Generation = std::uint32_t;
inline constexpr Generation kZeros = 0;
inline constexpr Generation kInitial = 1;  ///< content from before the first request

/// Fills a sector with the stamp of `generation`; kZeros: with zeros.
void stamp_sector(std::byte* to, std::uint64_t sector, Generation generation);
/// The generation that a sector shows; nothing: it is not one whole stamp of this sector.
[[nodiscard]] std::optional<Generation> stamp_of(const std::byte* from, std::uint64_t sector);
/// For messages: what stands there, whatever it is.
[[nodiscard]] std::string describe(const std::byte* from);

enum class Change : std::uint8_t {
    kWrite,
    kZero,
    kMaybeZero,  ///< a discard that promises nothing
};

class SectorModel {
  public:
    /// `initial`: by sector, whether it holds kInitial (else zeros).
    explicit SectorModel(std::vector<bool> initial);

    [[nodiscard]] std::uint64_t sectors() const { return by_sector_.size(); }
    [[nodiscard]] bool initially_stamped(std::uint64_t sector) const { return initial_[sector]; }

    // The run. Times are WriteLog's.
    Generation begin(Change change, std::uint64_t sector, std::uint64_t count, Time now);
    void complete(Generation generation, Time now, bool durable);
    /// A flush was issued then and completes now.
    void flushed(Time issued, Time now);
    /// Why a read issued then that ends now may not show this sector; nothing: it may.
    [[nodiscard]] std::optional<std::string> objection(std::uint64_t sector, const std::byte* from,
                                                       Time read_issued, Time now) const;

    // Power cuts, in the order of time.
    void cut_at(Time time);
    [[nodiscard]] std::optional<std::string> objection_after_cut(std::uint64_t sector,
                                                                 const std::byte* from) const;
    /// Back to before the first cut.
    void rewind();

  private:
    struct Request {
        Change change;
        std::uint64_t sector;
        std::uint64_t count;
        Time issued;
        Time completed = kNever;
        Time durable = kNever;
    };
    [[nodiscard]] const Request& request(Generation generation) const {
        return requests_[generation - kInitial - 1];
    }
    /// Everything seen must have been issued before `now`, and none completed before `bound`.
    [[nodiscard]] bool may_show(std::uint64_t sector, Generation shown, Time bound, Time now) const;
    [[nodiscard]] std::optional<std::string> judge(std::uint64_t sector, const std::byte* from,
                                                   Time bound, Time now) const;

    std::vector<bool> initial_;
    std::vector<Request> requests_;
    std::vector<std::vector<Generation>> by_sector_;
    std::vector<Time> bounds_;  // by sector: latest issue of a request durable at the cut
    std::vector<Generation> by_durability_;
    std::size_t durable_count_ = 0;
    Time cut_ = 0;
};

}  // namespace lunkit::qcow_rig
