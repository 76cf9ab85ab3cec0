// SPDX-License-Identifier: Apache-2.0
#include "scsi/rod_token.hpp"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "scsi/big_endian.hpp"

namespace lunkit::scsi {
namespace {

// Table 111 and 112 of SPC-4, with the device type specific data of SBC-4 4.28.3.
constexpr std::size_t kRodTypeAt = 0;
constexpr std::size_t kRodTokenLengthAt = 6;
constexpr std::size_t kIdentifierAt = 8;
constexpr std::size_t kCreatorAt = 16;
constexpr std::size_t kBytesRepresentedAt = 48;
constexpr std::size_t kBlockLengthAt = 96;
constexpr std::size_t kTargetDeviceAt = 128;
constexpr std::size_t kExtendedDataAt = 256;

bool fill_random(std::span<std::uint8_t> bytes) {
    while (!bytes.empty()) {
        const ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
        if (got < 0 && errno != EINTR) {
            return false;
        }
        bytes = bytes.subspan(got < 0 ? 0 : static_cast<std::size_t>(got));
    }
    return true;
}

void put_naa_designator(std::span<std::uint8_t> out, std::uint8_t association,
                        const NaaIdentifier& naa) {
    constexpr std::uint8_t kBinary = 1;
    constexpr std::uint8_t kNaa = 3;
    out[0] = kBinary;
    out[1] = static_cast<std::uint8_t>((association << 4U) | kNaa);
    out[3] = static_cast<std::uint8_t>(naa.size());
    std::ranges::copy(naa, out.begin() + 4);
}

bool make_bytes(RodTokenBytes& bytes, const RodTokenContent& content) {
    constexpr std::uint8_t kIdentificationDescriptor = 0xe4;
    constexpr std::uint8_t kLogicalUnit = 0;
    constexpr std::uint8_t kTargetDevice = 2;
    bytes.fill(0);
    const std::span all(bytes);
    put_be32(all.subspan(kRodTypeAt), rod_type::kPointInTimeCopyChangeVulnerable);
    put_be16(all.subspan(kRodTokenLengthAt), kRodTokenLength - 8);
    put_be64(all.subspan(kBytesRepresentedAt + 8), content.length);
    put_be32(all.subspan(kBlockLengthAt), content.block_size);
    if (content.creator) {
        all[kCreatorAt] = kIdentificationDescriptor;
        put_naa_designator(all.subspan(kCreatorAt + 4), kLogicalUnit, *content.creator);
        put_be24(all.subspan(kCreatorAt + 29), content.block_size);
        // The unit does not know its target device; to a copy manager each is one of its own.
        put_naa_designator(all.subspan(kTargetDeviceAt), kTargetDevice, *content.creator);
    }
    return fill_random(all.subspan(kIdentifierAt, 8)) && fill_random(all.subspan(kExtendedDataAt));
}

/// In the same time wherever they differ.
bool is_equal(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
    unsigned difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference |= static_cast<unsigned>(a[i] ^ b[i]);
    }
    return difference == 0;
}

ByteRange around(std::span<const ByteRange> ranges) {
    if (ranges.empty()) {
        return {};
    }
    const auto first = std::ranges::min(ranges, {}, &ByteRange::offset).offset;
    const auto end = std::ranges::max(ranges, {}, &ByteRange::end).end();
    return {first, end - first};
}

AdditionalSense why_invalid(RodToken::State state) {
    switch (state) {
        case RodToken::State::kExpired:
            return asc::kInvalidTokenOperationTokenExpired;
        case RodToken::State::kCancelled:
            return asc::kInvalidTokenOperationTokenCancelled;
        case RodToken::State::kDeleted:
            return asc::kInvalidTokenOperationTokenDeleted;
        default:
            return asc::kInvalidTokenOperationTokenUnknown;
    }
}

}  // namespace

bool RodToken::overlaps(ByteRange range) const {
    return around_.overlaps(range) &&
           std::ranges::any_of(content_.ranges,
                               [range](const ByteRange& own) { return own.overlaps(range); });
}

RodToken* RodTokens::create(RodTokenContent content, TimePoint now) {
    expire(now);
    tokens_.resize(kMaxTokens);  // never again: commands hold on to tokens
    RodTokenBytes bytes;
    if (!make_bytes(bytes, content)) {
        return nullptr;
    }
    RodToken* const token = find_room();
    if (token == nullptr) {
        return nullptr;
    }
    if (token->is_valid()) {
        end(*token, RodToken::State::kCancelled);
    }
    token->state_ = RodToken::State::kValid;
    token->bytes_ = bytes;
    token->around_ = around(content.ranges);
    token->content_ = std::move(content);
    token->used_ = now;
    ++valid_;
    return token;
}

/// A place that is free, else that of the token which ended first, else of the one unused longest.
RodToken* RodTokens::find_room() {
    RodToken* found = nullptr;
    const auto rank = [](const RodToken& token) {
        return std::pair(token.state_ == RodToken::State::kNone ? 0
                         : token.is_valid()                     ? 2
                                                                : 1,
                         token.used_);
    };
    for (RodToken& token : tokens_) {
        if (token.users_ == 0 && (found == nullptr || rank(token) < rank(*found))) {
            found = &token;
        }
    }
    return found;
}

std::expected<RodToken*, AdditionalSense> RodTokens::find(std::span<const std::uint8_t> bytes,
                                                          TimePoint now) {
    expire(now);
    AdditionalSense why = asc::kInvalidTokenOperationTokenUnknown;
    for (RodToken& token : tokens_) {
        if (token.state_ == RodToken::State::kNone || !is_equal(token.bytes_, bytes)) {
            continue;
        }
        if (token.is_valid()) {
            return &token;
        }
        why = why_invalid(token.state_);
    }
    return std::unexpected(why);
}

std::uint64_t RodTokens::identifier_of(const RodToken& token) {
    return get_be64(std::span(token.bytes_).subspan(kIdentifierAt));
}

const RodToken* RodTokens::find_identifier(std::uint64_t identifier) const {
    const auto found = std::ranges::find_if(tokens_, [identifier](const RodToken& token) {
        return token.state_ != RodToken::State::kNone && identifier_of(token) == identifier;
    });
    return found == tokens_.end() ? nullptr : &*found;
}

void RodTokens::remove(RodToken& token) {
    if (token.is_valid()) {
        end(token, RodToken::State::kDeleted);
    }
}

void RodTokens::cancel(ByteRange range) {
    for (RodToken& token : tokens_) {
        if (token.is_valid() && token.overlaps(range)) {
            end(token, RodToken::State::kCancelled);
        }
    }
}

void RodTokens::expire(TimePoint now) {
    for (RodToken& token : tokens_) {
        if (token.is_valid() && token.users_ == 0 &&
            now - token.used_ > token.content_.inactivity_timeout) {
            end(token, RodToken::State::kExpired);
        }
    }
}

void RodTokens::end(RodToken& token, RodToken::State state) {
    token.state_ = state;
    --valid_;
}

}  // namespace lunkit::scsi
