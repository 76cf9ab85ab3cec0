// SPDX-License-Identifier: Apache-2.0
// Workload: seeded random requests, several in flight, checked against a SectorModel as they go.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "rig/sector_model.hpp"
#include "rig/subject.hpp"
#include "rig/write_log.hpp"

namespace lunkit::qcow_rig {

/// How many of a hundred requests are what; the rest are flushes.
struct Mix {
    unsigned writes = 50;
    unsigned fua_writes = 8;
    unsigned zeroes = 10;
    unsigned discards = 12;
    unsigned reads = 12;
};

struct WorkloadOptions {
    std::uint64_t seed = 1;
    unsigned requests = 200;
    unsigned depth = 8;                  ///< most requests in flight
    std::uint64_t longest = 256 * 1024;  ///< bytes of a request
    std::uint64_t hot_bytes = 0;         ///< requests begin below this; 0 = anywhere
    bool errors_expected = false;        ///< faults are injected: a failed request is no finding
    Mix mix = {};
};

class Workload {
  public:
    /// All outlive the workload.
    Workload(const WorkloadOptions& options, Subject& subject, RecordingHost& host, WriteLog& log,
             SectorModel& model);
    Workload(const Workload&) = delete;
    Workload& operator=(const Workload&) = delete;
    Workload(Workload&&) = delete;
    Workload& operator=(Workload&&) = delete;
    ~Workload();

    /// Runs all requests to their end. What was wrong, as a sentence.
    [[nodiscard]] std::optional<std::string> run();
    /// Reads the whole disk and compares.
    [[nodiscard]] std::optional<std::string> read_all();
    [[nodiscard]] unsigned failed_requests() const { return failed_; }

    // For scripts, request by request.
    struct Range {
        std::uint64_t sector = 0;
        std::uint64_t count = 0;
    };
    void start(Verb verb, Range range, std::uint32_t flags = 0) { issue(verb, range, flags); }
    /// Turns the queue until nothing moves any more; held operations stay (RecordingHost::hold).
    void settle();
    /// Until everything started has ended.
    [[nodiscard]] std::optional<std::string> drain();
    void perform(Verb verb, Range range, std::uint32_t flags = 0) {
        start(verb, range, flags);
        (void)drain();  // what it finds is kept, and told by the next caller
    }
    /// The disk. The model keeps its size; nothing is requested behind that, nor behind the disk.
    void resize(std::uint64_t bytes);
    [[nodiscard]] std::size_t in_flight() const { return in_flight_.size(); }

  private:
    struct InFlight;
    [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
    [[nodiscard]] Range random_range();
    void issue_random();
    void issue(Verb verb, Range range, std::uint32_t flags);
    void ended(InFlight& request);
    void check_read(const InFlight& request, Time now);
    void found(std::string what);

    WorkloadOptions options_;
    Subject& subject_;
    RecordingHost& host_;
    WriteLog& log_;
    SectorModel& model_;
    std::uint64_t sectors_;  // that may be requested
    std::mt19937_64 random_;
    bool opaque_;
    std::vector<std::unique_ptr<InFlight>> in_flight_;
    unsigned failed_ = 0;
    std::optional<std::string> finding_;
};

}  // namespace lunkit::qcow_rig
