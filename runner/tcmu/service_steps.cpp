// SPDX-License-Identifier: Apache-2.0
// TcmuService: steps that run on other threads and come back to the control thread.
#include <algorithm>
#include <utility>

#include "core/posted_call.hpp"
#include "tcmu/tcmu_service.hpp"

namespace lunkit::tcmu {

namespace {

constexpr std::size_t kTurns = 64;

}  // namespace

void TcmuService::run_step(const Entry& entry, StepBound bound, ControlLoop::Call work,
                           ControlLoop::Call done, std::move_only_function<bool()> late) {
    end_step(entry);
    const std::uint64_t step = entry->step;
    watch_step(entry, bound, std::move(late));
    auto back = [this, entry, step, done = std::move(done)]() mutable {
        --working_;
        if (entry->step != step) {
            drop_in_worker(std::move(done));
            return;
        }
        creation_steps_ += entry->reply ? 1 : 0;
        end_step(entry);
        done();
    };
    ++working_;
    core::call_in_worker(runtime_.queues.workers(), entry.get(),
                         [inbox = loop_->inbox(), work = std::move(work),
                          back = ControlLoop::Call(std::move(back))]() mutable {
                             work();
                             work = nullptr;  // what it holds goes on this thread
                             inbox->post(std::move(back));
                         });
}

void TcmuService::watch_step(const Entry& entry, StepBound bound,
                             std::move_only_function<bool()> late) {
    const Milliseconds pause = std::min(bound.most, bound.alone);
    bound.most -= pause;
    entry->watchdog = loop_->after(
        pause, [this, entry, bound, ended = creation_steps_, late = std::move(late)]() mutable {
            entry->watchdog.reset();
            if (bound.most > Milliseconds::zero() && creation_steps_ != ended) {
                watch_step(entry, bound, std::move(late));
            } else if (const std::uint64_t step = entry->step; late() && entry->step == step) {
                end_step(entry);
            }
        });
}

void TcmuService::end_step(const Entry& entry) {
    ++entry->step;
    if (entry->watchdog) {
        loop_->cancel(*entry->watchdog);
        entry->watchdog.reset();
    }
}

void TcmuService::drop_in_worker(ControlLoop::Call holder) {
    ++working_;
    auto back = on_loop([this] {
        --working_;
        check_stopped();
    });
    core::call_in_worker(runtime_.queues.workers(), nullptr,
                         [holder = std::move(holder), back = std::move(back)]() mutable {
                             holder = nullptr;
                             back();
                         });
}

// What nobody waits for comes in turns, or a thousand devices that are found at start would start a
// thousand threads. One that takes long has its thread and no turn any more: however many hang, the
// others come up.
void TcmuService::take_turn(const Entry& entry, ControlLoop::Call begin) {
    end_step(entry);
    line_.push_back({entry, entry->step, std::move(begin)});
    end_turn(entry);
    next_turns();
}

void TcmuService::end_turn(const Entry& entry) {
    if (!entry->turn) {
        return;
    }
    loop_->cancel(*std::exchange(entry->turn, std::nullopt));
    --turns_;
    next_turns();
}

void TcmuService::next_turns() {
    while (turns_ < kTurns && !line_.empty()) {
        Turn next = std::move(line_.front());
        line_.pop_front();
        const Entry& entry = next.entry;
        if (entry->step != next.step) {
            continue;  // it has been closed
        }
        ++turns_;
        entry->turn = loop_->after(world_.turn_time, [this, entry] { end_turn(entry); });
        next.begin();
    }
}

std::shared_ptr<core::EngineQueue> TcmuService::assign_queue() {
    core::QueueSet& queues = runtime_.queues;
    return {&queues.assign(), [&queues, inbox = loop_->inbox()](core::EngineQueue* queue) {
                inbox->post([&queues, queue] { queues.release(*queue); });
            }};
}

ControlLoop::Call TcmuService::on_loop(ControlLoop::Call call) {
    return [inbox = loop_->inbox(), call = std::move(call)]() mutable {
        inbox->post(std::move(call));
    };
}

}  // namespace lunkit::tcmu
