// SPDX-License-Identifier: Apache-2.0
// TrustedThread: a thread with the rights of the process, for what queues want done. A queue of
// ublk has given up CAP_SYS_ADMIN (untrusted_thread.hpp), and a worker that the queue's thread
// makes would lack it too: the kernel would take no control command from there.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "core/thread.hpp"
#include "lunkit/result.hpp"

namespace lunkit::ublk {

class TrustedThread {
  public:
    using Call = std::move_only_function<void()>;

    /// From a thread that has the rights.
    static Result<std::unique_ptr<TrustedThread>> start();
    TrustedThread(const TrustedThread&) = delete;
    TrustedThread& operator=(const TrustedThread&) = delete;
    TrustedThread(TrustedThread&&) = delete;
    TrustedThread& operator=(TrustedThread&&) = delete;
    /// When what was posted has run.
    ~TrustedThread();

    /// Any thread: `call` runs once, in the order of posting. It shall not block.
    void post(Call call);

  private:
    TrustedThread() = default;
    void run();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Call> calls_;  // under mutex_
    bool ending_ = false;     // under mutex_
    core::Thread thread_;
};

}  // namespace lunkit::ublk
