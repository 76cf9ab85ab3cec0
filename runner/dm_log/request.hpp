// SPDX-License-Identifier: Apache-2.0
// Request and Answer: one exchange with the kernel, out of a datagram and into one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "dm_log/abi.hpp"
#include "lunkit/result.hpp"

namespace lunkit::dm_log {

/// A request, copied out of its datagram. Its data has the size that the kernel said.
struct Request {
    abi::UlogRequest head{};
    std::array<std::byte, abi::kDataRoom> room{};

    [[nodiscard]] std::uint64_t luid() const { return head.luid; }
    [[nodiscard]] std::string_view uuid() const { return head.uuid.data(); }
    /// None: a type that is not known here.
    [[nodiscard]] std::optional<abi::RequestType> type() const;
    [[nodiscard]] std::span<const std::byte> data() const {
        return std::span(room).first(head.data_size);
    }
    [[nodiscard]] std::string_view text() const {
        return {reinterpret_cast<const char*>(room.data()), head.data_size};
    }
    /// The number at `index` of data that is an array of u64 (or s64).
    [[nodiscard]] std::uint64_t number(std::size_t index) const {
        std::uint64_t value = 0;
        std::memcpy(&value, room.data() + index * sizeof value, sizeof value);
        return value;
    }
    /// The data is so many numbers.
    [[nodiscard]] bool has_numbers(std::size_t count) const {
        return head.data_size == count * sizeof(std::uint64_t);
    }
};

/// What is sent back. Its data has exactly the size that the request's sender expects: less leaves
/// the kernel with what happened to be on its stack, more makes it an error there.
class Answer {
  public:
    /// Done, without data.
    Answer() = default;
    /// `error`: a positive errno. Without data.
    static Answer failed(int error) {
        Answer answer;
        answer.error_ = -error;
        return answer;
    }
    static Answer number(std::uint64_t value) {
        Answer answer;
        answer.append(value);
        return answer;
    }
    static Answer numbers(std::uint64_t first, std::uint64_t second) {
        Answer answer = number(first);
        answer.append(second);
        return answer;
    }
    /// With the NUL behind it; cut where the room ends.
    static Answer text(std::string_view value);
    /// An errno and `size` zeros. The kernel gives the reply to its next attempt no more room than
    /// this one took: see unknown_log().
    static Answer failed_with_room(int error, std::size_t size);

    [[nodiscard]] std::int32_t error() const { return error_; }  ///< 0 or a negative errno
    [[nodiscard]] std::span<const std::byte> data() const { return std::span(room_).first(size_); }

  private:
    void append(std::uint64_t value) {
        std::memcpy(room_.data() + size_, &value, sizeof value);
        size_ += sizeof value;
    }

    std::int32_t error_ = 0;
    std::size_t size_ = 0;
    std::array<std::byte, abi::kDataRoom> room_{};
};

/// The request of a datagram. ENOMSG: another subsystem's, or none at all; EBADMSG: its lengths
/// contradict each other, so that nothing but its sender is known: `*sender` is then a request
/// without data, to be answered with an error.
[[nodiscard]] Result<Request> parse_request(std::span<const std::byte> datagram, Request* sender);

/// The datagram that answers `request`. `datagram` keeps its memory from call to call.
void encode_answer(const Request& request, const Answer& answer, std::vector<std::byte>& datagram);

}  // namespace lunkit::dm_log
