// SPDX-License-Identifier: Apache-2.0
#include "core/worker_pool.hpp"

#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include "engines.hpp"

namespace lunkit::core {
namespace {

struct Job : WorkerPool::Work {
    explicit Job(Latch* latch = nullptr) {
        argument = latch;
        function = [](void* held) -> std::int64_t {
            return held != nullptr ? static_cast<Latch*>(held)->wait() : 7;
        };
        finished = [](WorkerPool::Work* work) {
            auto* job = static_cast<Job*>(work);
            job->is_finished = true;
            job->is_finished.notify_all();
        };
    }
    void wait() const { is_finished.wait(false); }
    std::atomic<bool> is_finished{false};
};

void until(const auto& condition) {
    while (!condition()) {
        std::this_thread::yield();
    }
}

TEST(WorkerPool, GivesTheResultToWhoFinishes) {
    WorkerPool pool;
    Job job;
    pool.submit(nullptr, &job);
    job.wait();
    EXPECT_EQ(job.result, 7);
}

TEST(WorkerPool, HasNoThreadsBeforeThereIsWork) {
    const WorkerPool pool;
    EXPECT_EQ(pool.threads(), 0U);
}

TEST(WorkerPool, StuckLaneUsesItsShareOfThreadsOnly) {
    Latch latch;
    std::array<char, 2> lanes{};
    std::vector<std::unique_ptr<Job>> stuck;
    WorkerPool pool(2);
    for (int i = 0; i < 10; ++i) {
        stuck.push_back(std::make_unique<Job>(&latch));
        pool.submit(&lanes[0], stuck.back().get());
    }
    latch.until_waiting(2);
    Job other;
    pool.submit(&lanes[1], &other);
    other.wait();
    EXPECT_EQ(latch.waiting(), 2);
    EXPECT_LE(pool.threads(), 3U);
    latch.open();
    for (const auto& job : stuck) {
        job->wait();
    }
    EXPECT_EQ(latch.waiting(), 10);
}

TEST(WorkerPool, UsesAnIdleThreadAgain) {
    WorkerPool pool(1);
    for (int i = 0; i < 100; ++i) {
        Job job;
        pool.submit(nullptr, &job);
        job.wait();
    }
    EXPECT_EQ(pool.threads(), 1U) << "one lane of width 1 needs one thread";
}

TEST(WorkerPool, IdleThreadsLeave) {
    WorkerPool pool(4, std::chrono::milliseconds(1));
    Latch latch;
    std::vector<std::unique_ptr<Job>> jobs;
    for (int i = 0; i < 4; ++i) {
        jobs.push_back(std::make_unique<Job>(&latch));
        pool.submit(nullptr, jobs.back().get());
    }
    latch.until_waiting(4);
    EXPECT_EQ(pool.threads(), 4U);
    latch.open();
    until([&] { return pool.threads() == 0; });
    Job job;
    pool.submit(nullptr, &job);
    job.wait();
}

TEST(WorkerPool, RunsWaitingWorkBeforeItGoes) {
    Latch latch;
    std::vector<std::unique_ptr<Job>> jobs;
    std::jthread opener;
    {
        WorkerPool pool(1);
        for (int i = 0; i < 20; ++i) {
            jobs.push_back(std::make_unique<Job>(&latch));
            pool.submit(nullptr, jobs.back().get());
        }
        latch.until_waiting(1);
        opener = std::jthread([&latch] { latch.open(); });
    }
    for (const auto& job : jobs) {
        EXPECT_TRUE(job->is_finished);
    }
}

TEST(WorkerPool, TakesWorkOfManyThreads) {
    constexpr int kThreads = 4;
    constexpr int kJobs = 200;
    std::atomic<int> count{0};
    {
        WorkerPool pool(3);
        std::vector<std::vector<std::unique_ptr<Job>>> jobs(kThreads);
        std::vector<std::jthread> threads;
        threads.reserve(kThreads);
        for (auto& mine : jobs) {
            threads.emplace_back([&] {
                for (int i = 0; i < kJobs; ++i) {
                    mine.push_back(std::make_unique<Job>());
                    pool.submit(&mine, mine.back().get());
                }
                for (const auto& job : mine) {
                    job->wait();
                    ++count;
                }
            });
        }
        threads.clear();  // joins
    }
    EXPECT_EQ(count, kThreads * kJobs);
}

// Bytes of the process that are in memory.
std::size_t resident() {
    std::size_t size = 0;
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> size >> pages;
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(WorkerPool, ThreadThatGoesGivesBackWhatWasFreed) {
    if (::mallinfo2().arena == 0) {
        GTEST_SKIP() << "a sanitizer's allocator";
    }
    constexpr std::size_t kBlock = 4000;
    constexpr std::size_t kBlocks = 8000;
    std::vector<std::unique_ptr<char[]>> blocks(kBlocks);
    for (auto& block : blocks) {
        block = std::make_unique<char[]>(kBlock);  // zeroed, hence in memory
    }
    blocks.erase(blocks.begin(), blocks.end() - 1);  // the last one keeps the heap from shrinking
    const std::size_t before = resident();
    WorkerPool pool(8, std::chrono::milliseconds(1));
    Job job;
    pool.submit(nullptr, &job);
    job.wait();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (resident() + kBlocks * kBlock / 2 > before &&
           std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
    }
    EXPECT_LT(resident() + kBlocks * kBlock / 2, before);
}

}  // namespace
}  // namespace lunkit::core
