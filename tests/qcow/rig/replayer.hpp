// SPDX-License-Identifier: Apache-2.0
// Replayer: what a power cut leaves of the files in a WriteLog.
//
// A barrier is a flush that has completed. It covers the operations that had completed before it
// was issued; a FUA write covers itself. What no barrier covers may be on the disk or not, sector
// (512 bytes) by sector, in any mixture: that is what page cache, drive cache and reordering come
// to. Two things are never mixed: a sector is never half of a write, and a sector that shows a
// write shows all writes that had ended on it before (they changed the same copy in the cache).
//
// The replayer moves over the log step by step. At each time, apply() makes one of the possible
// outcomes and restore() takes it back.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "rig/write_log.hpp"

namespace lunkit::qcow_rig {

/// Which of the operations that no barrier covers survive.
enum class Survival : std::uint8_t {
    kNone,
    kAll,
    kPrefix,  ///< the first so many, in the order of their completion
    kSubset,  ///< each by itself
    kTorn,    ///< sectors of each by themselves
    kKilled,  ///< no power cut: the process is gone, and what it has completed is in the files
};
/// Those of a power cut.
inline constexpr Survival kSurvivals[] = {Survival::kNone, Survival::kAll, Survival::kPrefix,
                                          Survival::kSubset, Survival::kTorn};
[[nodiscard]] const char* name_of(Survival survival);

class Replayer {
  public:
    /// `log` outlives the replayer and does not change any more.
    Replayer(const WriteLog& log, std::uint64_t seed);

    /// Takes the next step of the log; false at its end.
    bool advance();
    /// Steps taken: a request or operation of time t is in when t < time().
    [[nodiscard]] Time time() const { return time_; }
    /// Whether the step just taken can have changed what a cut leaves or what it may leave.
    [[nodiscard]] bool worth_a_cut() const { return worth_a_cut_; }
    [[nodiscard]] bool anything_pending() const;
    /// Whether it made something durable, or the guest's view moved: else the outcome in which
    /// nothing pending survives is the one of the step before.
    [[nodiscard]] bool moved_the_barrier() const { return moved_the_barrier_; }

    void apply(Survival survival);
    void restore();
    [[nodiscard]] ImageView file(std::uint32_t index) const {
        return {files_[index].bytes.data(), files_[index].size};
    }

  private:
    struct FileState {
        Bytes bytes;  // whole sectors; zeros behind size
        std::uint64_t size = 0;
        std::vector<Time> order;  // by sector: completion of what was applied last
        Time size_order = 0;
        std::vector<std::uint32_t> pending;  // events, in the order of their completion
        std::vector<std::uint32_t> in_flight;
        std::vector<std::uint32_t> last;     // by sector, during apply(): position + 1
        std::vector<std::uint32_t> touched;  // sectors with last != 0
    };
    struct Undo {
        std::uint32_t file;
        std::uint64_t sector;
        Bytes bytes;
    };

    void issued(std::uint32_t event);
    void completed(std::uint32_t event);
    void make_durable(FileState& file, const FileEvent& event, std::uint64_t begin,
                      std::uint64_t end);
    void cover(FileState& file, Time flush_issued);
    void cover_itself(FileState& file, std::uint32_t event);
    void choose(FileState& file, const FileEvent& event, std::uint32_t position, bool torn);
    void replay_chosen(std::uint32_t index, const FileEvent& event, std::uint32_t position);
    void keep(std::uint32_t index, std::uint64_t sector);
    [[nodiscard]] bool coin() { return (random_() & 1) != 0; }

    const WriteLog& log_;
    Time time_ = 0;
    bool worth_a_cut_ = false;
    bool moved_the_barrier_ = false;
    std::vector<FileState> files_;
    std::vector<Undo> undo_;
    std::vector<std::pair<std::uint64_t, std::size_t>> sizes_;  // by file, before apply()
    std::mt19937_64 random_;
};

}  // namespace lunkit::qcow_rig
