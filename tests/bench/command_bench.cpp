// SPDX-License-Identifier: Apache-2.0
// What a command costs in this process, from the ring through SCSI and the handler and back: the
// real device loop on a real queue, with a kernel that only puts commands (ring_kernel.hpp).
//
//   command_bench [--commands N] [--rounds N] [--only NAME] [FOLDER]
//
// Prints for each handler nanoseconds (the median of the rounds, which take turns), system calls
// and allocations a command. FOLDER (default .) is where the file for `file` is made; on tmpfs and
// elsewhere it is served in different ways. `null-c` is `null` without coroutines in the plugin.
// Ends with 1 if a command failed, or if one allocated memory in the steady state.
// Instructions a command: tests/bench/instructions.
#include <dlfcn.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/engine_queue.hpp"
#include "core/worker_pool.hpp"
#include "host/handler_registry.hpp"
#include "ring_kernel.hpp"
#include "support/counted_new.hpp"
#include "tcmu/device.hpp"
#include "tcmu/inflight_folder.hpp"

namespace {
std::atomic<std::uint64_t> system_calls{0};  // of those that the data path makes itself
}  // namespace

// In the place of libc's, to be counted. (io_uring_enter is counted by the queue.)
extern "C" ssize_t write(int fd, const void* bytes, size_t length) {
    system_calls.fetch_add(1, std::memory_order_relaxed);
    return ::syscall(SYS_write, fd, bytes, length);
}
extern "C" ssize_t read(int fd, void* bytes, size_t length) {
    system_calls.fetch_add(1, std::memory_order_relaxed);
    return ::syscall(SYS_read, fd, bytes, length);
}
extern "C" ssize_t preadv2(int fd, const iovec* iov, int count, off_t offset, int flags) {
    system_calls.fetch_add(1, std::memory_order_relaxed);
    return ::syscall(SYS_preadv2, fd, iov, count, offset, 0, flags);
}
extern "C" ssize_t pwritev2(int fd, const iovec* iov, int count, off_t offset, int flags) {
    system_calls.fetch_add(1, std::memory_order_relaxed);
    return ::syscall(SYS_pwritev2, fd, iov, count, offset, 0, flags);
}

namespace {

using namespace lunkit;  // NOLINT(google-build-using-namespace): one small program
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kDeviceSize = 64 << 20;
constexpr std::uint64_t kWarmUp = 4096;  // commands

[[noreturn]] void give_up(const std::string& why) {
    std::cerr << "command_bench: " << why << '\n';
    std::exit(1);  // NOLINT(concurrency-mt-unsafe): one small program
}

struct Case {
    const char* name;
    std::string config;
    bool writes;
    std::uint32_t bytes;
    std::uint32_t depth;
};

struct Cost {
    double nanoseconds = 0;  // all of them for one command
    double calls = 0;
    double allocated = 0;
};

/// A device of the handler, and its kernel, on a queue of their own.
class Subject {
  public:
    Subject(const host::HandlerRegistry& handlers, const Case& wanted) {
        // No spin: there is no initiator to wait for.
        auto queue =
            core::make_queue(core::EngineChoice::kAuto, pool_, std::chrono::microseconds(0));
        host::OpenDevice request;
        request.config = wanted.config;
        request.name = wanted.name;
        request.size = kDeviceSize;
        auto block = handlers.open(std::move(request));
        if (!queue || !block) {
            give_up(queue ? block.error().what : queue.error().what);
        }
        queue_ = std::move(*queue);
        kernel_ = std::make_unique<bench::RingKernel>(
            *queue_, bench::RingKernel::Load{.writes = wanted.writes,
                                             .bytes = wanted.bytes,
                                             .depth = wanted.depth,
                                             .device_size = kDeviceSize});
        auto ring = tcmu::ServedRing::open(kernel_->take_node());
        if (!ring || !ring->attach(*tcmu::TableMemory::anonymous(ring->table_bytes()))) {
            give_up("no ring");
        }
        tcmu::DeviceParts parts;
        parts.name = wanted.name;
        parts.config = wanted.config;
        parts.node = "none";
        parts.ring = std::move(*ring);
        parts.block = std::move(*block);
        parts.unit.write_cache = true;
        parts.events.gone = [] { give_up("the device has failed"); };
        device_ = std::make_unique<tcmu::Device>(std::move(parts), *queue_);
        queue_->add_poller(kernel_.get());
        device_->start();
        run(kWarmUp);
    }
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;
    Subject(Subject&&) = delete;
    Subject& operator=(Subject&&) = delete;
    ~Subject() {
        queue_->remove_poller(kernel_.get());
        device_->drain({.bound = std::chrono::seconds(10),
                        .late = [] { give_up("commands do not end"); },
                        .quiet = [this] { queue_->stop(); }});
        queue_->run();
        device_.reset();
    }

    Cost measure(std::uint64_t commands) {
        const std::uint64_t calls = calls_so_far();
        const std::uint64_t allocated = test::allocations.load();
        const auto begin = Clock::now();
        run(commands);
        const std::chrono::duration<double, std::nano> took = Clock::now() - begin;
        const auto each = static_cast<double>(commands);
        return {took.count() / each, static_cast<double>(calls_so_far() - calls) / each,
                static_cast<double>(test::allocations.load() - allocated) / each};
    }

  private:
    void run(std::uint64_t commands) {
        const std::uint64_t before = kernel_->answered();
        kernel_->begin(commands);
        queue_->run();
        if (kernel_->failed() > 0 || kernel_->answered() - before != commands) {
            give_up("commands failed");
        }
    }
    [[nodiscard]] std::uint64_t calls_so_far() const {
        return system_calls.load() + queue_->stats().system_calls;
    }

    core::WorkerPool pool_{1};
    std::unique_ptr<core::EngineQueue> queue_;
    std::unique_ptr<bench::RingKernel> kernel_;
    std::unique_ptr<tcmu::Device> device_;
};

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

std::vector<Case> cases(const std::string& file) {
    constexpr std::uint32_t k4 = 4096;
    constexpr std::uint32_t k128 = 131072;
    return {
        {"null-c read 4k depth 32", "null-c/", false, k4, 32},
        {"null read 4k depth 32", "null/", false, k4, 32},
        {"null-c write 4k depth 32", "null-c/", true, k4, 32},
        {"null write 4k depth 32", "null/", true, k4, 32},
        {"null write 4k depth 1", "null/", true, k4, 1},
        {"null write 4k depth 128", "null/", true, k4, 128},
        {"ram read 4k depth 32", "ram/bench", false, k4, 32},
        {"ram write 4k depth 32", "ram/bench", true, k4, 32},
        {"ram read 1m depth 4", "ram/bench", false, 8 * k128, 4},
        {"file read 4k depth 1", "file/" + file, false, k4, 1},
        {"file read 4k depth 32", "file/" + file, false, k4, 32},
        {"file write 4k depth 32", "file/" + file, true, k4, 32},
        {"file read 128k depth 32", "file/" + file, false, k128, 32},
    };
}

}  // namespace

int main(int argc, char** argv) {
    std::uint64_t commands = 100000;
    int rounds = 5;
    std::string only;
    std::filesystem::path folder = ".";
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "--commands" && i + 1 < argc) {
            commands = std::strtoull(argv[++i], nullptr, 10);
        } else if (word == "--rounds" && i + 1 < argc) {
            rounds = static_cast<int>(std::strtol(argv[++i], nullptr, 10));
        } else if (word == "--only" && i + 1 < argc) {
            only = argv[++i];
        } else if (!word.starts_with("-")) {
            folder = word;
        } else {
            std::cerr
                << "usage: command_bench [--commands N] [--rounds N] [--only NAME] [FOLDER]\n";
            return 2;
        }
    }
    if (commands == 0 || rounds < 1) {
        give_up("nothing to do");
    }
    host::HandlerRegistry handlers;
    for (const char* const plugin : {NULL_PLUGIN, NULL_C_PLUGIN, RAM_PLUGIN, FILE_PLUGIN}) {
        if (const Status loaded = handlers.load(plugin); !loaded) {
            give_up(loaded.error().what);
        }
    }
    const std::string file = std::filesystem::absolute(folder / "command_bench.img").string();
    bool allocates = false;
    fmt::print("{:28} {:>8} {:>8} {:>12} {:>12}\n", "for a command", "ns", "lowest", "system calls",
               "allocations");
    for (const Case& wanted : cases(file)) {
        if (!only.empty() && only != wanted.name) {
            continue;
        }
        Subject subject(handlers, wanted);
        std::vector<double> nanoseconds;
        Cost last;
        double allocated = 1;  // the fewest: a pool that grows once more is not the steady state
        for (int round = 0; round < rounds; ++round) {
            last = subject.measure(commands);
            nanoseconds.push_back(last.nanoseconds);
            allocated = std::min(allocated, last.allocated);
        }
        allocates = allocates || allocated > 0;
        fmt::print("{:28} {:8.0f} {:8.0f} {:12.3f} {:12.3f}\n", wanted.name, median(nanoseconds),
                   *std::ranges::min_element(nanoseconds), last.calls, allocated);
    }
    std::filesystem::remove(file);
    if (allocates) {
        give_up("memory was allocated in the steady state");
    }
    return 0;
}
