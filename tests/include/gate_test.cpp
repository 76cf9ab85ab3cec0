// SPDX-License-Identifier: Apache-2.0
#include "lunkit/gate.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "lunkit/task.hpp"
#include "support/fake_queue.hpp"
#include "support/run_task.hpp"

namespace lunkit {
namespace {

using test::FakeQueue;

Detached close_gate(Gate& gate, Queue& queue, bool& closed) {
    co_await gate.close(queue);
    closed = true;
}

Task<void> just_close(Gate& gate, Queue& queue) {
    co_await gate.close(queue);
}

TEST(Gate, CloseOfAnEmptyGateIsReadyAtOnce) {
    Gate gate;
    FakeQueue queue;
    bool closed = false;
    close_gate(gate, queue, closed);
    EXPECT_TRUE(closed);
    EXPECT_EQ(queue.pending(), 0U);
}

TEST(Gate, LetsNobodyInAfterClose) {
    Gate gate;
    FakeQueue queue;
    test::run_task(queue, just_close(gate, queue));
    EXPECT_TRUE(gate.is_closed());
    EXPECT_FALSE(gate.enter());
    EXPECT_EQ(gate.inside(), 0U);
}

TEST(Gate, CloseWaitsForTheLastToLeave) {
    Gate gate;
    FakeQueue queue;
    bool closed = false;
    std::optional<Gate::Pass> first(gate.enter());
    std::optional<Gate::Pass> second(gate.enter());
    close_gate(gate, queue, closed);
    first.reset();
    queue.run_all();
    EXPECT_FALSE(closed);
    second.reset();
    EXPECT_FALSE(closed) << "only the queue's loop goes on with who waits";
    queue.run_all();
    EXPECT_TRUE(closed);
}

TEST(Gate, MovedPassLeavesOnce) {
    Gate gate;
    {
        Gate::Pass first = gate.enter();
        const Gate::Pass second = std::move(first);
        EXPECT_EQ(gate.inside(), 1U);
    }
    EXPECT_EQ(gate.inside(), 0U);
}

TEST(Gate, OpensAgain) {
    Gate gate;
    FakeQueue queue;
    test::run_task(queue, just_close(gate, queue));
    gate.open();
    EXPECT_TRUE(gate.enter());
}

}  // namespace
}  // namespace lunkit
