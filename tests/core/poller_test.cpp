// SPDX-License-Identifier: Apache-2.0
// Pollers: the same on every engine.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>

#include "core/thread.hpp"
#include "engines.hpp"

namespace lunkit::core {
namespace {

class FakePoller final : public Poller {
  public:
    unsigned poll() override {
        log += 'p';
        return on_poll && on_poll() ? 1 : 0;
    }
    void flush() override {
        log += 'f';
        if (on_flush) {
            on_flush();
        }
    }
    std::string log;
    std::function<bool()> on_poll;
    std::function<void()> on_flush;
};

class EveryPoller : public OnEveryEngine {};
LUNKIT_ON_EVERY_ENGINE(EveryPoller);

TEST_P(EveryPoller, IsAskedInEachTurnAndFlushedAtItsEnd) {
    FakePoller poller;
    int finds = 5;
    poller.on_poll = [&] { return --finds > 0; };
    poller.on_flush = [&] {
        if (finds <= 0) {
            queue_->stop();
        }
    };
    queue_->add_poller(&poller);
    queue_->run();
    EXPECT_TRUE(poller.log.starts_with("pfpfpfpfpf")) << poller.log;
    EXPECT_EQ(queue_->stats().sleeps, 0U) << "the loop slept while the poller found something";
}

TEST_P(EveryPoller, IsFlushedAfterThePostedCompletionsOfItsTurn) {
    FakePoller poller;
    Counted posted([&] {
        poller.log += 'c';
        queue_->stop();
    });
    queue_->add_poller(&poller);
    queue_->post(&posted);
    queue_->run();
    EXPECT_TRUE(poller.log.starts_with("cpf")) << poller.log;
}

TEST_P(EveryPoller, IsFlushedForWhatTheLastCompletionsLeft) {
    FakePoller poller;
    Counted last([&] { poller.log += 'l'; });
    Counted stop([&] {
        queue_->stop();
        queue_->post(&last);
    });
    queue_->add_poller(&poller);
    queue_->post(&stop);
    queue_->run();
    EXPECT_TRUE(poller.log.ends_with("lf")) << poller.log;
}

TEST_P(EveryPoller, MayRemoveItselfAndIsNotTouchedAgain) {
    FakePoller poller;
    FakePoller other;
    poller.on_poll = [&] {
        queue_->remove_poller(&poller);
        return true;
    };
    other.on_flush = [&] { queue_->stop(); };
    queue_->add_poller(&poller);
    queue_->add_poller(&other);
    queue_->run();
    EXPECT_EQ(poller.log, "p");
    EXPECT_TRUE(other.log.starts_with("pf"));
}

TEST_P(EveryPoller, MayAddAnother) {
    FakePoller poller;
    FakePoller added;
    poller.on_poll = [&] {
        if (poller.log == "p") {
            queue_->add_poller(&added);
        }
        return false;
    };
    added.on_flush = [&] { queue_->stop(); };
    queue_->add_poller(&poller);
    queue_->run();
    EXPECT_EQ(added.log.substr(0, 2), "pf");
}

TEST_P(EveryPoller, ThatFindsNothingLetsTheLoopSleep) {
    FakePoller poller;
    queue_->add_poller(&poller);
    Counted timer(stop_after(1));
    ASSERT_EQ(queue_->submit_timer(3'000'000, &timer), LUNKIT_PENDING);
    queue_->run();
    EXPECT_GE(queue_->stats().sleeps, 1U);
    EXPECT_LE(queue_->stats().turns, 100U) << "it span";
}

TEST_P(EveryPoller, SpinLooksAgainAfterAFindAndThenSleeps) {
    if (usable_cpus() < 2) {
        GTEST_SKIP() << "with one CPU nothing spins";
    }
    make(200us);
    FakePoller poller;
    int looks = 0;
    poller.on_poll = [&] { return ++looks == 1; };
    queue_->add_poller(&poller);
    Counted timer(stop_after(1));
    ASSERT_EQ(queue_->submit_timer(3'000'000, &timer), LUNKIT_PENDING);
    queue_->run();
    EXPECT_GE(looks, 4);
    EXPECT_GE(queue_->stats().sleeps, 1U);
}

TEST_P(EveryPoller, NothingSpinsWhileWorkIsInFlight) {
    make(std::chrono::seconds(20));
    FakePoller poller;
    int looks = 0;
    poller.on_poll = [&] { return ++looks == 1; };
    queue_->add_poller(&poller);
    Latch latch;
    const auto task = [](EngineQueue& queue, Latch& held) -> Task<void> {
        co_await queue.offload(nullptr, [&] { return held.wait(); });
    };
    const std::jthread opener([&] {
        while (queue_->stats().sleeps == 0) {
            std::this_thread::yield();
        }
        latch.open();
    });
    run(task(*queue_, latch));
}

}  // namespace
}  // namespace lunkit::core
