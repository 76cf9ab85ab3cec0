// SPDX-License-Identifier: Apache-2.0
// DeviceChecks: what lunkit/handler.h promises to whoever asks a device for blocks, put to the
// test. The device is seen as front ends see it, with what the runner makes up for. It is
// overwritten at its beginning and at its end.
//
// One queue's thread, one check at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "lunkit/block_device.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit::cli {

/// What a check came to. An error: the promise is broken, `what` says how. Else why the check was
/// left out; empty: it was not.
using Verdict = Result<std::string>;

class DeviceChecks {
  public:
    /// `block_size`: the logical block, bytes. The same `seed` asks for the same.
    DeviceChecks(BlockDevice& device, Queue& queue, std::uint32_t block_size, std::uint64_t seed);

    struct Check {
        const char* name;
        Task<Verdict> (DeviceChecks::*run)();
    };
    /// In the order they are to run: the first one writes what the others change.
    static std::span<const Check> all();

    /// Goes on with another opening of the same storage: its contents must be what they were.
    Task<Verdict> holds_contents(BlockDevice& reopened);

  private:
    /// Bytes [offset, offset + bytes.size()) of the device, and what they must be.
    struct Window {
        std::uint64_t offset = 0;
        std::vector<std::byte> bytes;
    };
    /// Blocks of a window, from its beginning.
    struct Place {
        Window* window;
        std::size_t offset;
        std::size_t length;
        [[nodiscard]] std::uint64_t on_device() const { return window->offset + offset; }
        [[nodiscard]] std::span<std::byte> expected() const {
            return std::span(window->bytes).subspan(offset, length);
        }
    };

    /// Requests that run beside each other.
    struct Crowd;

    Task<Verdict> tells_what_it_is();
    Task<Verdict> keeps_what_is_written();
    Task<Verdict> reaches_both_ends();
    Task<Verdict> takes_data_in_pieces();
    Task<Verdict> takes_long_transfers();
    Task<Verdict> survives_random_requests();
    Task<Verdict> serves_many_at_once();
    Task<Verdict> serves_overlapping_writes();
    Task<Verdict> writes_zeroes();
    Task<Verdict> discards();
    Task<Verdict> tells_extents();
    Task<Verdict> compares_and_writes();
    Task<Verdict> sets_bits();
    Task<Verdict> makes_durable();
    Task<Verdict> tells_its_space();

    Place anywhere(std::size_t most_blocks);
    std::vector<std::byte> noise(std::size_t length);
    Task<Status> write(Place place, std::uint32_t flags);
    Task<Status> compare(Place place);
    Task<Status> compare_all();
    Task<Status> random_request(Place place);
    Task<Status> change_slice(Place slice);
    Task<Result<std::size_t>> ask_extents(Place place);
    Task<Status> zero(Place place, std::uint32_t flags);
    static Detached start(Task<Status> task, Crowd& crowd);

    BlockDevice* device_;
    Queue& queue_;
    const std::uint32_t block_;
    std::mt19937_64 random_;
    std::vector<Window> windows_;
};

}  // namespace lunkit::cli
