// SPDX-License-Identifier: Apache-2.0
// FakeEngineQueue: FakeQueue with what the runner's rooms ask of an engine: pollers and the turn of
// the loop. Nothing runs before the test says turn() or settle().
#pragma once

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "core/engine_queue.hpp"
#include "support/fake_queue.hpp"

namespace lunkit::test {

class FakeEngineQueue : public core::EngineQueue {
  public:
    /// What is ready, timers and polls; see there.
    FakeQueue inner;

    /// One turn of the loop: what is ready runs, then pollers are asked, then kernel events are
    /// looked at, then pollers flush. True if anything was there.
    bool turn() {
        bool busy = false;
        for (std::size_t ready = inner.ready(); ready > 0; --ready) {
            busy = inner.run_one() || busy;
        }
        for (std::size_t i = 0; i < pollers_.size(); ++i) {
            busy = pollers_[i]->poll() || busy;
        }
        inner.look_at_descriptors();
        for (std::size_t ready = inner.ready(); ready > 0; --ready) {
            busy = inner.run_one() || busy;
        }
        for (std::size_t i = 0; i < pollers_.size(); ++i) {
            pollers_[i]->flush();
        }
        return busy;
    }
    /// Turns until nothing is left to do.
    void settle() {
        while (turn()) {
        }
    }
    [[nodiscard]] std::size_t pollers() const { return pollers_.size(); }

    int submit_timer(std::uint64_t nanoseconds, lunkit_completion* completion) override {
        return inner.submit_timer(nanoseconds, completion);
    }
    int submit_poll(int fd, std::uint32_t events, lunkit_completion* completion) override {
        return inner.submit_poll(fd, events, completion);
    }
    int submit_offload(const void* lane, std::int64_t (*function)(void*), void* argument,
                       lunkit_completion* completion) override {
        return inner.submit_offload(lane, function, argument, completion);
    }
    void cancel(lunkit_completion* completion) override { inner.cancel(completion); }
    void post(lunkit_completion* completion) override { inner.post(completion); }

    void run() override { settle(); }
    void stop() override {}
    int submit_transfer(const core::FileTransfer& transfer,
                        lunkit_completion* completion) override {
        const auto count = static_cast<int>(transfer.iov.size());
        const auto offset = static_cast<off_t>(transfer.offset);
        const ssize_t done = transfer.is_write
                                 ? ::pwritev(transfer.fd, transfer.iov.data(), count, offset)
                                 : ::preadv(transfer.fd, transfer.iov.data(), count, offset);
        completion->result = done < 0 ? -errno : done;
        inner.post(completion);
        return LUNKIT_PENDING;
    }
    int submit_data_sync(int fd, const void* /*lane*/, lunkit_completion* completion) override {
        completion->result = ::fdatasync(fd) == 0 ? 0 : -errno;
        inner.post(completion);
        return LUNKIT_PENDING;
    }
    /// It waits for answer_command(), unless the driver takes none.
    int submit_command(const core::DriverCommand& command, lunkit_completion* completion) override {
        if (command_refusal != 0 && commands_taken-- <= 0) {
            return command_refusal;
        }
        commands.push_back({command, completion});
        return LUNKIT_PENDING;
    }
    struct Command {
        core::DriverCommand command;
        lunkit_completion* completion;
    };
    int command_refusal = 0;  ///< -errno: what every command is answered with, at once, but ...
    int commands_taken = 0;   ///< ... so many before
    /// Those the "driver" has, oldest first.
    std::deque<Command> commands;
    /// The driver answers the command at `index`; it completes in the next turn.
    void answer_command(std::size_t index, std::int64_t result) {
        const auto position = commands.begin() + static_cast<std::ptrdiff_t>(index);
        position->completion->result = result;
        inner.post(position->completion);
        commands.erase(position);
    }
    void add_poller(core::Poller* poller) override { pollers_.push_back(poller); }
    void remove_poller(core::Poller* poller) override { std::erase(pollers_, poller); }
    [[nodiscard]] std::string_view engine_name() const override { return "fake"; }
    [[nodiscard]] core::EngineStats stats() const override { return {}; }

  private:
    std::vector<core::Poller*> pollers_;
};

}  // namespace lunkit::test
