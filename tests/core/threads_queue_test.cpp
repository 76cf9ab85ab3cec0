// SPDX-License-Identifier: Apache-2.0
// What only the threads engine does: one registration for all polls of a descriptor.
#include "core/threads_queue.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "engines.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::core {
namespace {

/// Closes a descriptor in the second turn: after the wait, before its events are looked at.
class ClosesInTheSecondTurn final : public Poller {
  public:
    explicit ClosesInTheSecondTurn(UniqueFd& fd) : fd_(fd) {}
    unsigned poll() override {
        if (++turns_ == 2) {
            fd_.reset();
        }
        return 0;
    }
    void flush() override {}

  private:
    UniqueFd& fd_;
    int turns_ = 0;
};

TEST(ThreadsQueue, PollOfADescriptorThatWasClosedUnderItEnds) {
    WorkerPool pool;
    auto queue = ThreadsQueue::create(pool, 0us);
    ASSERT_TRUE(queue);
    std::array<int, 2> pair{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
    UniqueFd here(pair[0]);
    const UniqueFd there(pair[1]);
    Counted writable;
    Counted readable([&] { (*queue)->stop(); });
    ASSERT_EQ((*queue)->submit_poll(here.get(), POLLIN, &readable), LUNKIT_PENDING);
    ASSERT_EQ((*queue)->submit_poll(here.get(), POLLOUT, &writable), LUNKIT_PENDING);
    ClosesInTheSecondTurn closes(here);
    (*queue)->add_poller(&closes);
    (*queue)->run();
    EXPECT_EQ(writable.result, POLLOUT);
    EXPECT_EQ(readable.result, -EBADF);
}

}  // namespace
}  // namespace lunkit::core
