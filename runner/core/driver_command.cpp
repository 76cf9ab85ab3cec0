// SPDX-License-Identifier: Apache-2.0
#include "core/driver_command.hpp"

#include <liburing.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace lunkit::core {

namespace {

/// A ring for one submission; goes with the scope.
class LongRing {
  public:
    LongRing() : error_(io_uring_queue_init(1, &ring_, IORING_SETUP_SQE128)) {}
    LongRing(const LongRing&) = delete;
    LongRing& operator=(const LongRing&) = delete;
    LongRing(LongRing&&) = delete;
    LongRing& operator=(LongRing&&) = delete;
    ~LongRing() {
        if (error_ == 0) {
            io_uring_queue_exit(&ring_);
        }
    }
    [[nodiscard]] int error() const { return error_; }
    [[nodiscard]] io_uring* get() { return &ring_; }

  private:
    io_uring ring_{};
    int error_;
};

}  // namespace

Result<int> run_driver_command(int fd, std::uint32_t op, std::span<const std::byte> payload) {
    if (payload.size() > kLongPayload) {
        return failure(EINVAL, "a driver's command of too many bytes");
    }
    LongRing ring;
    if (ring.error() < 0) {
        return failure(-ring.error(), "io_uring cannot be used for control commands");
    }
    io_uring_sqe* const sqe = io_uring_get_sqe(ring.get());
    if (sqe == nullptr) {
        return failure(EBUSY, "io_uring has no room for a control command");
    }
    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, nullptr, 0, op);
    // The library clears the first half of a submission only.
    std::array<std::byte, kLongPayload> whole{};
    std::ranges::copy(payload, whole.begin());
    std::memcpy(&sqe->addr3, whole.data(), whole.size());
    int submitted = 0;
    do {
        submitted = io_uring_submit(ring.get());
    } while (submitted == -EINTR || submitted == -EAGAIN);
    if (submitted < 0) {
        return failure(-submitted, "io_uring does not take a control command");
    }
    io_uring_cqe* cqe = nullptr;
    int waited = 0;
    do {
        waited = io_uring_wait_cqe(ring.get(), &cqe);
    } while (waited == -EINTR);
    if (waited < 0) {
        return failure(-waited, "io_uring does not wait for a control command");
    }
    return cqe->res;
}

}  // namespace lunkit::core
