// SPDX-License-Identifier: Apache-2.0
// An io_uring that stands as long as the test program. Some kernels (6.18.44 is one) let the
// workers of io-wq go with a task's last ring, and lose a request that the task's next ring gives
// to one of them in that moment: it is never completed. A daemon's thread has one ring for its
// life; a test program makes one for each test.
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

[[maybe_unused]] const long kKeptRing = [] {
    io_uring_params params{};
    return ::syscall(SYS_io_uring_setup, 1, &params);  // where there is none, none needs keeping
}();

}  // namespace
