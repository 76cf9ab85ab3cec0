// SPDX-License-Identifier: Apache-2.0
// The qcow handler against `qemu-img bench`, and against the file handler on a raw image of the
// same disk: the same requests, on copies of the same image, in the same folder, taking turns;
// medians. 32 requests in flight; writes are flushed every so often,
// with nothing in flight meanwhile, by both.
//   qcow_bench [FOLDER] [ROUNDS] [NAME]     NAME: a part of the only cases' names
// qemu-img's process may lose what was not flushed. So may ours with commit=flush; with
// commit=write it may not, and that is the price seen between the two columns.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/engine_queue.hpp"
#include "core/worker_pool.hpp"
#include "host/handler_registry.hpp"
#include "lunkit/io_request.hpp"
#include "rig/process.hpp"

namespace {

using namespace lunkit;  // NOLINT(google-build-using-namespace): one small program
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kDiskSize = 2ULL << 30U;
constexpr unsigned kDepth = 32;
constexpr unsigned kFlushEvery = 256;

struct Case {
    const char* name;
    bool write;
    std::uint64_t size;   // bytes of a request
    std::uint64_t step;   // from one to the next
    std::uint64_t count;  // requests
    std::function<void(const std::string& image)> make;
};

void call(const std::vector<std::string>& command) {
    const std::string line = fmt::format("{}", fmt::join(command, " "));
    const qcow_rig::Finished finished = qcow_rig::run_program(command);
    if (finished.exit_code != 0) {
        std::cerr << "qcow_bench: " << line << ": " << finished.output << '\n';
        std::exit(1);  // NOLINT(concurrency-mt-unsafe): one small program
    }
}

/// Numbered requests, `kDepth` at a time, a flush behind each kFlushEvery writes.
class Load {
  public:
    Load(core::EngineQueue& queue, BlockDevice& device, const Case& wanted)
        : queue_(queue), device_(device), wanted_(wanted), bytes_(wanted.size, std::byte{0x5a}) {}

    double seconds() {
        const auto begin = Clock::now();
        struct Start : lunkit_completion {
            Load* load = nullptr;
        };
        Start start;
        start.load = this;
        start.done = [](lunkit_completion* self) { run(*static_cast<Start*>(self)->load); };
        queue_.post(&start);
        queue_.run();
        if (failed_) {
            std::cerr << "qcow_bench: a request failed\n";
            std::exit(1);  // NOLINT(concurrency-mt-unsafe): one small program
        }
        return std::chrono::duration<double>(Clock::now() - begin).count();
    }

  private:
    static void run(Load& load) {
        load.limit_ = load.wanted_.write ? std::min<std::uint64_t>(kFlushEvery, load.wanted_.count)
                                         : load.wanted_.count;
        load.active_ = kDepth;
        for (unsigned i = 0; i < kDepth; ++i) {
            worker(load);
        }
    }
    static Detached worker(Load& load) {
        while (load.next_ < load.limit_) {
            const std::uint64_t offset = load.next_++ * load.wanted_.step;
            const SingleData data(load.bytes_.data(), load.bytes_.size());
            const IoRequest io(offset % kDiskSize, data);
            const Status status = load.wanted_.write ? co_await load.device_.write(load.queue_, io)
                                                     : co_await load.device_.read(load.queue_, io);
            load.failed_ = load.failed_ || !status;
        }
        if (--load.active_ > 0) {
            co_return;
        }
        if (load.wanted_.write) {
            const Status status = co_await load.device_.flush(load.queue_);
            load.failed_ = load.failed_ || !status;
        }
        if (load.next_ == load.wanted_.count) {
            load.queue_.stop();
            co_return;
        }
        load.limit_ = std::min(load.limit_ + kFlushEvery, load.wanted_.count);
        load.active_ = kDepth;
        for (unsigned i = 0; i < kDepth; ++i) {
            worker(load);
        }
    }

    core::EngineQueue& queue_;
    BlockDevice& device_;
    const Case& wanted_;
    std::vector<std::byte> bytes_;
    std::uint64_t next_ = 0;
    std::uint64_t limit_ = 0;
    unsigned active_ = 0;
    bool failed_ = false;
};

double ours(const host::HandlerRegistry& handlers, const Case& wanted, std::string config) {
    core::WorkerPool pool;
    auto queue = core::make_queue(core::EngineChoice::kAuto, pool, std::chrono::microseconds(0));
    host::OpenDevice request;
    request.config = std::move(config);
    request.name = "bench";
    auto device = handlers.open(std::move(request));
    if (!queue || !device) {
        std::cerr << "qcow_bench: " << (queue ? device.error().what : queue.error().what) << '\n';
        std::exit(1);  // NOLINT(concurrency-mt-unsafe): one small program
    }
    Load load(**queue, **device, wanted);
    return static_cast<double>(wanted.count) / load.seconds();
}

double theirs(const Case& wanted, const std::string& image) {
    std::vector<std::string> command = {"qemu-img", "bench",
                                        "-f",       "qcow2",
                                        "-t",       "writeback",
                                        "-c",       std::to_string(wanted.count),
                                        "-d",       std::to_string(kDepth),
                                        "-s",       std::to_string(wanted.size),
                                        "-S",       std::to_string(wanted.step)};
    if (wanted.write) {
        command.insert(command.end(), {"-w", fmt::format("--flush-interval={}", kFlushEvery)});
    }
    command.push_back(image);
    const qcow_rig::Finished finished = qcow_rig::run_program(command);
    const std::string& printed = finished.output;
    const std::string mark = "Run completed in ";
    const std::size_t at = printed.find(mark);
    if (finished.exit_code != 0 || at == std::string::npos) {
        std::cerr << "qcow_bench: qemu-img bench: " << printed << '\n';
        std::exit(1);  // NOLINT(concurrency-mt-unsafe): one small program
    }
    return static_cast<double>(wanted.count) /
           std::strtod(printed.c_str() + at + mark.size(), nullptr);
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

std::vector<Case> cases() {
    const std::string size = std::to_string(kDiskSize);
    const auto empty = [size](const std::string& image) {
        call({"qemu-img", "create", "-q", "-f", "qcow2", image, size});
    };
    const auto full = [empty](const std::string& image) {
        empty(image);
        call({"qemu-io", "-f", "qcow2", "-c", "write -P 1 0 1G", image});
    };
    const auto snapshot = [full](const std::string& image) {
        full(image);
        call({"qemu-img", "snapshot", "-c", "kept", image});
    };
    const auto compressed = [](const std::string& image) {
        call({"qemu-img", "create", "-q", "-f", "raw", image + ".raw", std::to_string(kDiskSize)});
        call({"qemu-io", "-f", "raw", "-c", "write -P 1 0 512M", image + ".raw"});
        call({"qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", image + ".raw", image});
    };
    constexpr std::uint64_t k4 = 4096;
    constexpr std::uint64_t k64 = 65536;
    return {
        {"read 4 KiB, cached", false, k4, k64 + k4, 60000, full},
        {"read 4 KiB, compressed", false, k4, k64, 8000, compressed},
        {"overwrite 4 KiB", true, k4, k64, 16000, full},
        {"allocating write 4 KiB", true, k4, k64, 8000, empty},
        {"write 4 KiB over compressed", true, k4, k64, 4000, compressed},
        {"write 4 KiB after a snapshot", true, k4, k64, 4000, snapshot},
        {"sequential allocating 1 MiB", true, 16 * k64, 16 * k64, 1000, empty},
    };
}

}  // namespace

int main(int argc, char** argv) {
    const std::string folder = std::filesystem::absolute(argc > 1 ? argv[1] : ".").string();
    const int rounds = argc > 2 ? std::atoi(argv[2]) : 3;  // NOLINT(cert-err34-c): by hand
    host::HandlerRegistry handlers;
    for (const char* const plugin : {QCOW_PLUGIN, FILE_PLUGIN}) {
        if (const Status loaded = handlers.load(plugin); !loaded) {
            std::cerr << "qcow_bench: " << loaded.error().what << '\n';
            return 1;
        }
    }
    std::cout << fmt::format("{:30}{:>13}{:>13}{:>11}{:>11}{:>14}{:>13}\n", "requests a second",
                             "commit=write", "commit=flush", "qemu-img", "raw file", "write/qemu",
                             "raw/write");
    const std::string_view only = argc > 3 ? argv[3] : "";
    for (const Case& wanted : cases()) {
        if (std::string_view(wanted.name).find(only) == std::string_view::npos) {
            continue;
        }
        const std::string image = folder + "/bench.qcow2";
        wanted.make(image + ".original");
        std::vector<double> write;
        std::vector<double> flush;
        std::vector<double> qemu;
        std::vector<double> raw;
        call({"qemu-img", "convert", "-f", "qcow2", "-O", "raw", image + ".original",
              image + ".flat"});
        const auto fresh = [&](const char* suffix = ".original") -> const std::string& {
            call({"cp", "--sparse=always", image + suffix, image});
            call({"sync", image});
            return image;
        };
        for (int round = 0; round < rounds; ++round) {
            write.push_back(ours(handlers, wanted, "qcow/" + fresh()));
            flush.push_back(ours(handlers, wanted, "qcow/" + fresh() + ";commit=flush"));
            qemu.push_back(theirs(wanted, fresh()));
            raw.push_back(ours(handlers, wanted, "file/" + fresh(".flat")));
        }
        std::cout << fmt::format("{:30}{:13.0f}{:13.0f}{:11.0f}{:11.0f}{:14.2f}{:13.2f}\n",
                                 wanted.name, median(write), median(flush), median(qemu),
                                 median(raw), median(write) / median(qemu),
                                 median(raw) / median(write))
                  << std::flush;
        for (const char* const suffix : {"", ".original", ".original.raw", ".flat"}) {
            std::filesystem::remove(image + suffix);
        }
    }
    return 0;
}
