// SPDX-License-Identifier: Apache-2.0
// ROD tokens (SPC-4 5.17.6, SBC-4 4.28): POPULATE TOKEN makes one that stands for the present data
// of some blocks; whoever shows it to WRITE USING TOKEN has that data written elsewhere.
//
// Nothing is copied when a token is made. It is a "point in time copy - change vulnerable": as soon
// as any of its blocks is about to change, the token is cancelled, so that it never stands for
// other data than it was made for. It belongs to one unit, lives in memory only, and a token that
// nobody uses for some time expires. When there are too many, the one unused for longest is
// cancelled.
//
// A token is a capability: its 2048 random bits are what an initiator cannot guess, and comparing
// takes the same time wherever they differ. What has ended is remembered for as long as there is
// room, to say why it is no longer valid.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <vector>

#include "lunkit/io_request.hpp"
#include "scsi/device_identification.hpp"
#include "scsi/sense.hpp"

namespace lunkit::scsi {

/// ROD TYPE, SPC-4 table 110.
namespace rod_type {
inline constexpr std::uint32_t kPointInTimeCopyDefault = 0x00800000;
inline constexpr std::uint32_t kPointInTimeCopyChangeVulnerable = 0x00800001;
inline constexpr std::uint32_t kPointInTimeCopyAny = 0x0080ffff;
inline constexpr std::uint32_t kBlockDeviceZero = 0xffff0001;
}  // namespace rod_type

inline constexpr std::size_t kRodTokenLength = 512;
using RodTokenBytes = std::array<std::uint8_t, kRodTokenLength>;

/// What a new token stands for, and says of itself.
struct RodTokenContent {
    std::vector<ByteRange> ranges;  ///< in order, none empty
    std::uint64_t length = 0;       ///< of all of them
    std::uint32_t block_size = 0;
    std::optional<NaaIdentifier> creator;
    std::chrono::seconds inactivity_timeout{};
};

class RodToken {
  public:
    enum class State : std::uint8_t { kNone, kValid, kExpired, kCancelled, kDeleted };

    [[nodiscard]] bool is_valid() const { return state_ == State::kValid; }
    [[nodiscard]] const RodTokenBytes& bytes() const { return bytes_; }
    [[nodiscard]] const std::vector<ByteRange>& ranges() const { return content_.ranges; }
    [[nodiscard]] std::uint64_t length() const { return content_.length; }
    [[nodiscard]] bool overlaps(ByteRange range) const;

  private:
    friend class RodTokens;
    State state_ = State::kNone;
    RodTokenBytes bytes_;
    RodTokenContent content_;
    ByteRange around_;         // all ranges, and what is between them
    std::uint32_t users_ = 0;  // commands that use it now
    std::chrono::steady_clock::time_point used_;
};

class RodTokens {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    static constexpr std::size_t kMaxTokens = 64;

    /// A use of a token: it stays where it is, and its inactivity begins when the use ends.
    class Use {
      public:
        Use(RodToken& token, TimePoint (*now)()) : token_(token), now_(now) { ++token_.users_; }
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;
        Use(Use&&) = delete;
        Use& operator=(Use&&) = delete;
        ~Use() {
            --token_.users_;
            token_.used_ = now_();
        }

      private:
        RodToken& token_;
        TimePoint (*now_)();
    };

    /// nullptr: there is no room, or no random number.
    RodToken* create(RodTokenContent content, TimePoint now);
    /// The valid token with these bytes, or why there is none.
    std::expected<RodToken*, AdditionalSense> find(std::span<const std::uint8_t> bytes,
                                                   TimePoint now);
    /// By COPY MANAGER ROD TOKEN IDENTIFIER; valid or not, nullptr when it is forgotten.
    [[nodiscard]] const RodToken* find_identifier(std::uint64_t identifier) const;
    [[nodiscard]] static std::uint64_t identifier_of(const RodToken& token);
    void remove(RodToken& token);
    /// These bytes are about to change: tokens that stand for them are cancelled.
    void change(ByteRange range) {
        if (valid_ != 0) {
            cancel(range);
        }
    }

  private:
    void cancel(ByteRange range);
    void end(RodToken& token, RodToken::State state);
    void expire(TimePoint now);
    RodToken* find_room();

    std::vector<RodToken> tokens_;  // kMaxTokens once there is one
    std::size_t valid_ = 0;
};

}  // namespace lunkit::scsi
