// SPDX-License-Identifier: Apache-2.0
// AdaptiveSpin: whether an idle loop should look at its pollers once more before it sleeps.
//
// Waking a sleeping thread costs several microseconds on both sides; a loop that still looks when
// the next command arrives saves them. But a look that finds nothing takes a CPU from whoever would
// have sent that command. So a spin begins only after a find (or the end of the last operation in
// flight, which is when the next command may come), ends `longest` after it, and each one that
// ended without a find doubles the number of chances that are passed over. Each that paid takes an
// eighth of it away: a find saves a fraction of what a vain spin costs, so only where most pay is
// it worth trying each time. After many at once, or the end of the last of them, there is no spin
// either: they share the price of waking, and while the loop sleeps the next ones gather. A thread
// that was preempted while it spun is on a machine short of CPUs: that costs the longest pause at
// once. With a single CPU there is no spinning: whoever it waits for needs it.
//
// One thread; the caller brings the time.
#pragma once

#include <chrono>
#include <cstdint>

namespace lunkit::core {

class AdaptiveSpin {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    /// `longest` 0 or `cpus` < 2: never. `preemptions` counts those of the calling thread so far.
    AdaptiveSpin(std::chrono::nanoseconds longest, unsigned cpus,
                 std::uint64_t (*preemptions)() = &thread_preemptions)
        : longest_(cpus > 1 ? longest : std::chrono::nanoseconds(0)), preemptions_(preemptions) {}

    [[nodiscard]] bool possible() const { return longest_.count() > 0; }

    /// Pollers found so many requests, at least one.
    void found(TimePoint now, unsigned requests);
    /// The last operation in flight has ended.
    void expect(TimePoint now);
    /// Nothing is left to do: look again (true), or sleep? Once false, false until there is another
    /// chance.
    [[nodiscard]] bool go_on(TimePoint now);
    /// Operations are in flight: their completions wake the loop.
    void give_up() { state_ = State::kIdle; }

    /// ru_nivcsw of getrusage(2).
    static std::uint64_t thread_preemptions();

  private:
    enum class State : std::uint8_t { kIdle, kChance, kSpinning };
    static constexpr std::uint32_t kLongestPause = 1023;   // chances
    static constexpr unsigned kMany = 4;                   // requests at once
    static constexpr std::uint32_t kPreemptionCheck = 16;  // spins

    [[nodiscard]] bool worth_trying();
    void failed();

    std::chrono::nanoseconds longest_;
    std::uint64_t (*preemptions_)();
    TimePoint chance_{};
    State state_ = State::kIdle;
    bool were_many_ = false;     // of the last find
    std::uint32_t penalty_ = 0;  // chances passed over after a failure
    std::uint32_t pause_ = 0;    // chances still to be passed over
    std::uint32_t spins_ = 0;
    std::uint64_t preempted_ = 0;
};

}  // namespace lunkit::core
