// SPDX-License-Identifier: Apache-2.0
// ParameterData: a Data-In answer that the unit makes itself, and the way it reaches the initiator.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lunkit/io_request.hpp"
#include "scsi/big_endian.hpp"
#include "scsi/logical_unit.hpp"

namespace lunkit::scsi {

/// Bytes of the command's data area.
[[nodiscard]] inline std::uint64_t data_length(const Command& command) {
    return command.data == nullptr ? 0 : command.data->length;
}

/// Gives the initiator the beginning of `bytes`: as much as ALLOCATION LENGTH and its buffer hold
/// (SPC-5 4.2.5.6: a short one is no error).
inline void deliver(Command& command, std::span<const std::uint8_t> bytes,
                    std::uint64_t allocation_length) {
    const std::uint64_t length =
        std::min({std::uint64_t{bytes.size()}, allocation_length, data_length(command)});
    if (length > 0) {
        copy_to_iov(*command.data, 0, std::as_bytes(bytes.first(length)));
    }
    command.data_in_length = length;
}

/// The first bytes of the Data-Out buffer; the caller has checked that they are there.
inline void fetch(const Command& command, std::uint64_t offset, std::span<std::uint8_t> to) {
    if (!to.empty()) {
        copy_from_iov(*command.data, offset, std::as_writable_bytes(to));
    }
}

/// Builds an answer front to back. What exceeds the capacity is dropped; static_asserts beside the
/// larger answers see that nothing does.
class ParameterData {
  public:
    static constexpr std::size_t kCapacity = 2052;  // READ DISC STRUCTURE of a DVD

    ParameterData& u8(unsigned value) {
        if (size_ < kCapacity) {
            bytes_[size_++] = static_cast<std::uint8_t>(value);
        }
        return *this;
    }
    ParameterData& be16(std::uint64_t value) { return be(value, 2); }
    ParameterData& be24(std::uint64_t value) { return be(value, 3); }
    ParameterData& be32(std::uint64_t value) { return be(value, 4); }
    ParameterData& be64(std::uint64_t value) { return be(value, 8); }
    ParameterData& zeros(std::size_t count) {
        for (; count > 0; --count) {
            u8(0);
        }
        return *this;
    }
    /// Left-aligned ASCII, padded with spaces or cut to `width` (SPC-5 4.3.1); what is not
    /// printable becomes a space.
    ParameterData& ascii(std::string_view text, std::size_t width) {
        for (std::size_t i = 0; i < width; ++i) {
            const char letter = i < text.size() ? text[i] : ' ';
            u8(letter >= ' ' && letter <= '~' ? static_cast<unsigned char>(letter) : 0x20U);
        }
        return *this;
    }
    ParameterData& ascii(std::string_view text) { return ascii(text, text.size()); }
    ParameterData& bytes(std::span<const std::uint8_t> more) {
        for (const std::uint8_t value : more) {
            u8(value);
        }
        return *this;
    }

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] std::span<const std::uint8_t> view() const {
        return std::span(bytes_).first(size_);
    }
    /// Length fields are known last: [at, +width) = value.
    void set(std::size_t at, std::uint64_t value, std::size_t width) {
        put_be(std::span(bytes_).subspan(at, width), value, width);
    }

  private:
    ParameterData& be(std::uint64_t value, std::size_t width) {
        for (std::size_t i = width; i-- > 0;) {
            u8(static_cast<unsigned>(value >> (8 * i)) & 0xffU);
        }
        return *this;
    }

    std::size_t size_ = 0;
    std::array<std::uint8_t, kCapacity> bytes_;
};

}  // namespace lunkit::scsi
