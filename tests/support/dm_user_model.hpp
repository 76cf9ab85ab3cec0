// SPDX-License-Identifier: Apache-2.0
// DmUserModel: the kernel's half of a dm-user target, in the process: who uses the device submits
// requests, and opens of the control node transfer them by the kernel's rules, as they were
// measured with the driver of Linux 5.10 (Android):
//   - one line of requests for all opens, each gets the next; `seq` counts from 0 for ever;
//   - a read gives bytes of one message, up to the end of its header, or of its payload;
//   - a message belongs to the open that got its first byte (a read of nothing gets it, and gives
//     nothing), and can be answered there once it has been read whole; answers in any order;
//   - a write takes bytes up to the end of one answer; header and payload may come in pieces;
//   - SUCCESS counts from its header on; other answers have no payload;
//   - an answer to what cannot be answered is taken (40 bytes), a write of nothing gives 0, and
//     from then on all writes of that open are EINVAL, while its reads go on;
//   - a read waits for as long as there is nothing; a signal ends that with EINTR; when the target
//     has gone, every read is ENOTBLK;
//   - close fails what the open has taken and not answered. With the last open goes what waits,
//     and what comes until the next one (FailsWithoutServer), or that stays (the driver of 2020).
// Left out: that requests before the first open fail after 4 s, and EFAULT.
//
// Any thread may submit, open and remove; an open is used by one thread at a time. It outlives its
// opens.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <future>
#include <limits>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "dm_user/abi.hpp"
#include "dm_user/channel.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::test {

class DmUserModel {
  public:
    using Message = dm_user::abi::Message;
    using Type = dm_user::abi::RequestType;

    /// What a user of the device asks for, and gets.
    struct Request {
        Type type = Type::kRead;
        std::uint64_t sector = 0;
        std::uint64_t len = 0;  ///< bytes; of a write: as many as `data` has
        std::uint64_t flags = 0;
        std::vector<std::byte> data = {};
    };
    struct Completed {
        int error = 0;                ///< 0 or EIO
        std::uint64_t answer = 0;     ///< as it was told; with an error that was not: unspecified
        std::vector<std::byte> data;  ///< of a read
    };
    using Done = std::function<void(Completed)>;

    /// How much one read and one write transfer at most; a kernel would do all of it.
    std::atomic<std::size_t> longest_read{std::numeric_limits<std::size_t>::max()};
    std::atomic<std::size_t> longest_write{std::numeric_limits<std::size_t>::max()};
    std::atomic<bool> fails_without_server{true};

    DmUserModel() : waiting_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    DmUserModel(const DmUserModel&) = delete;
    DmUserModel& operator=(const DmUserModel&) = delete;
    DmUserModel(DmUserModel&&) = delete;
    DmUserModel& operator=(DmUserModel&&) = delete;
    ~DmUserModel() = default;

    /// Any thread; `done` is called on any.
    void submit(Request request, Done done) {
        auto message = std::make_shared<Pending>();
        message->head = {.seq = 0,
                         .type = static_cast<std::uint64_t>(request.type),
                         .flags = request.flags,
                         .sector = request.sector,
                         .len = request.type == Type::kWrite ? request.data.size() : request.len};
        message->payload = std::move(request.data);
        message->done = std::move(done);
        {
            const std::lock_guard lock(mutex_);
            if (!gone_ && (opens_ > 0 || !had_server_ || !fails_without_server)) {
                message->head.seq = next_seq_++;
                line_.push_back(std::move(message));
                ring();
                return;
            }
        }
        message->done({.error = EIO, .answer = 0, .data = {}});
    }
    std::future<Completed> submit(Request request) {
        auto promise = std::make_shared<std::promise<Completed>>();
        submit(std::move(request),
               [promise](Completed completed) { promise->set_value(std::move(completed)); });
        return promise->get_future();
    }
    Completed run(Request request) { return submit(std::move(request)).get(); }

    /// The target is removed. Nothing may be in flight.
    void remove() {
        const std::lock_guard lock(mutex_);
        gone_ = true;
        ring();
    }
    [[nodiscard]] std::size_t opens() const {
        const std::lock_guard lock(mutex_);
        return opens_;
    }
    [[nodiscard]] std::size_t opened_so_far() const {
        const std::lock_guard lock(mutex_);
        return opened_so_far_;
    }
    /// Requests that nobody has taken yet.
    [[nodiscard]] std::size_t waiting() const {
        const std::lock_guard lock(mutex_);
        return line_.size();
    }

    class Opened;
    [[nodiscard]] std::unique_ptr<Opened> open();

  private:
    struct Pending {
        Message head{};
        std::vector<std::byte> payload;  // of a write; or what has come in for a read
        Done done;
    };
    using PendingPointer = std::shared_ptr<Pending>;

    // With mutex_ held: lets readers know that there is something, or that there is nothing more.
    void ring() const {
        const std::uint64_t one = 1;
        (void)!::write(waiting_.get(), &one, sizeof one);
    }
    void silence() const {
        std::uint64_t counter = 0;
        (void)!::read(waiting_.get(), &counter, sizeof counter);
    }

    const UniqueFd waiting_;
    mutable std::mutex mutex_;
    std::deque<PendingPointer> line_;
    std::uint64_t next_seq_ = 0;
    std::size_t opens_ = 0;
    std::size_t opened_so_far_ = 0;
    bool had_server_ = false;
    bool gone_ = false;
};

class DmUserModel::Opened final : public dm_user::Channel {
  public:
    explicit Opened(DmUserModel& model)
        : model_(model), interrupted_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        const std::lock_guard lock(model_.mutex_);
        ++model_.opens_;
        ++model_.opened_so_far_;
        model_.had_server_ = true;
    }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;
    Opened(Opened&&) = delete;
    Opened& operator=(Opened&&) = delete;
    ~Opened() override {
        std::vector<PendingPointer> failed;
        {
            const std::lock_guard lock(model_.mutex_);
            if (reading_) {
                failed.push_back(reading_);
            }
            if (answering_) {
                failed.push_back(answering_);
            }
            failed.insert(failed.end(), answerable_.begin(), answerable_.end());
            if (--model_.opens_ == 0 && model_.fails_without_server) {
                failed.insert(failed.end(), model_.line_.begin(), model_.line_.end());
                model_.line_.clear();
            }
        }
        for (const PendingPointer& message : failed) {
            message->done({.error = EIO, .answer = 0, .data = {}});
        }
    }

    Result<std::size_t> read(std::span<std::byte> room) override {
        std::unique_lock lock(model_.mutex_);
        while (!reading_) {
            if (model_.gone_) {
                return failure(ENOTBLK);
            }
            if (!model_.line_.empty()) {
                reading_ = std::move(model_.line_.front());
                model_.line_.pop_front();
                read_so_far_ = 0;
                break;
            }
            model_.silence();
            lock.unlock();
            if (!wait()) {
                return failure(EINTR);
            }
            lock.lock();
        }
        return take(room);
    }

    Result<std::size_t> write(std::span<const std::byte> header,
                              std::span<const std::byte> payload) override {
        if (poisoned_) {
            return failure(EINVAL);
        }
        if (header.empty() && payload.empty()) {
            poisoned_ = true;
            return 0;
        }
        const std::size_t most = model_.longest_write;
        std::size_t taken = 0;
        if (!header.empty()) {
            taken = take_answer(header.first(std::min(most, header.size())));
            const bool is_at_an_end = poisoned_ || (header_so_far_ == 0 && !answering_);
            if (taken < header.size() || is_at_an_end) {
                return taken;
            }
        }
        return taken + take_answer(payload.first(std::min(most - taken, payload.size())));
    }

    /// Any thread: ends the read that waits, or else the next that would.
    void interrupt() const {
        const std::uint64_t one = 1;
        (void)!::write(interrupted_.get(), &one, sizeof one);
    }

  private:
    /// False: a signal or interrupt() ended it.
    [[nodiscard]] bool wait() const {
        pollfd waits[] = {{model_.waiting_.get(), POLLIN, 0}, {interrupted_.get(), POLLIN, 0}};
        if (::poll(waits, 2, -1) < 0) {
            return false;
        }
        std::uint64_t counter = 0;
        return ::read(interrupted_.get(), &counter, sizeof counter) < 0;
    }

    /// Bytes of the message that is being read.
    std::size_t take(std::span<std::byte> room) {
        const auto header = std::as_bytes(std::span(&reading_->head, 1));
        const bool is_write = reading_->head.type == static_cast<std::uint64_t>(Type::kWrite);
        const std::span<const std::byte> payload =
            is_write ? std::span<const std::byte>(reading_->payload) : std::span<const std::byte>();
        const auto part = read_so_far_ < header.size()
                              ? header.subspan(read_so_far_)
                              : payload.subspan(read_so_far_ - header.size());
        const std::size_t length = std::min({part.size(), room.size(), model_.longest_read.load()});
        std::copy_n(part.begin(), length, room.begin());
        read_so_far_ += length;
        if (read_so_far_ == header.size() + payload.size()) {
            answerable_.push_back(std::move(reading_));
            reading_.reset();
        }
        return length;
    }

    /// How many of `bytes` belong to the present answer.
    std::size_t take_answer(std::span<const std::byte> bytes) {
        std::size_t taken = 0;
        if (!answering_) {
            taken = std::min(bytes.size(), sizeof header_ - header_so_far_);
            std::memcpy(reinterpret_cast<std::byte*>(&header_) + header_so_far_, bytes.data(),
                        taken);
            header_so_far_ += taken;
            if (header_so_far_ < sizeof header_) {
                return taken;
            }
            header_so_far_ = 0;
            begin_answer();
            if (!answering_) {
                return taken;
            }
        }
        const std::size_t more = std::min<std::uint64_t>(
            bytes.size() - taken, answering_->head.len - answering_->payload.size());
        const auto part = bytes.subspan(taken, more);
        answering_->payload.insert(answering_->payload.end(), part.begin(), part.end());
        if (answering_->payload.size() == answering_->head.len) {
            const PendingPointer message = std::exchange(answering_, nullptr);
            message->done({.error = 0, .answer = 0, .data = std::move(message->payload)});
        }
        return taken + more;
    }

    /// A header is there: ends the request, or waits for the payload of the answer.
    void begin_answer() {
        const auto message = std::find_if(
            answerable_.begin(), answerable_.end(),
            [this](const PendingPointer& one) { return one->head.seq == header_.seq; });
        if (message == answerable_.end()) {
            poisoned_ = true;
            return;
        }
        PendingPointer answered = std::move(*message);
        answerable_.erase(message);
        const bool is_success =
            header_.type == static_cast<std::uint64_t>(dm_user::abi::Answer::kSuccess);
        const bool is_read = answered->head.type == static_cast<std::uint64_t>(Type::kRead);
        if (is_success && is_read && answered->head.len > 0) {
            answering_ = std::move(answered);
            return;
        }
        answered->done({.error = is_success ? 0 : EIO, .answer = header_.type, .data = {}});
    }

    DmUserModel& model_;
    const UniqueFd interrupted_;
    PendingPointer reading_;
    std::size_t read_so_far_ = 0;  // of its header and payload
    std::list<PendingPointer> answerable_;
    Message header_{};
    std::size_t header_so_far_ = 0;
    PendingPointer answering_;  // with SUCCESS, to a read
    bool poisoned_ = false;
};

inline std::unique_ptr<DmUserModel::Opened> DmUserModel::open() {
    return std::make_unique<Opened>(*this);
}

}  // namespace lunkit::test
