// SPDX-License-Identifier: Apache-2.0
// What commands ended in instead of success, counted by kind.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace lunkit::core {

/// Sense data, another SCSI status, or an error number: what the front end's user was told.
class ErrorKind {
  public:
    /// Success.
    constexpr ErrorKind() = default;
    [[nodiscard]] static constexpr ErrorKind sense(unsigned key, unsigned code,
                                                   unsigned qualifier) {
        return ErrorKind(kSense | (key & 0xfU) << 16U | (code & 0xffU) << 8U | (qualifier & 0xffU));
    }
    /// SAM-5 5.3.1, other than GOOD and CHECK CONDITION.
    [[nodiscard]] static constexpr ErrorKind scsi_status(std::uint8_t status) {
        return ErrorKind(kScsiStatus | status);
    }
    /// errno, positive.
    [[nodiscard]] static constexpr ErrorKind system(int code) {
        return ErrorKind(kSystem | (static_cast<unsigned>(code) & 0xffffU));
    }
    /// One of those that there was no room for.
    [[nodiscard]] static constexpr ErrorKind other() { return ErrorKind(kOther); }
    [[nodiscard]] static constexpr ErrorKind of_packed(std::uint32_t packed) {
        return ErrorKind(packed);
    }

    [[nodiscard]] constexpr bool is_success() const { return packed_ == 0; }
    [[nodiscard]] constexpr std::uint32_t packed() const { return packed_; }
    /// What it was made of; nothing where it is of another kind.
    struct SenseCodes {
        std::uint8_t key = 0;
        std::uint8_t code = 0;
        std::uint8_t qualifier = 0;
    };
    [[nodiscard]] constexpr std::optional<SenseCodes> as_sense() const {
        if (!is(kSense)) {
            return std::nullopt;
        }
        return SenseCodes{byte(16), byte(8), byte(0)};
    }
    [[nodiscard]] constexpr std::optional<std::uint8_t> as_scsi_status() const {
        return is(kScsiStatus) ? std::optional(byte(0)) : std::nullopt;
    }
    [[nodiscard]] constexpr std::optional<int> as_errno() const {
        return is(kSystem) ? std::optional(static_cast<int>(packed_ & 0xffffU)) : std::nullopt;
    }
    /// "03/11/00" (sense key, additional sense code, its qualifier), "BUSY", "ENOSPC", "other".
    [[nodiscard]] std::string text() const;
    bool operator==(const ErrorKind&) const = default;

  private:
    static constexpr std::uint32_t kSense = 1U << 24U;
    static constexpr std::uint32_t kScsiStatus = 2U << 24U;
    static constexpr std::uint32_t kSystem = 3U << 24U;
    static constexpr std::uint32_t kOther = 4U << 24U;

    explicit constexpr ErrorKind(std::uint32_t packed) : packed_(packed) {}
    [[nodiscard]] constexpr bool is(std::uint32_t kind) const {
        return (packed_ & 0xff000000U) == kind;
    }
    [[nodiscard]] constexpr std::uint8_t byte(unsigned shift) const {
        return static_cast<std::uint8_t>(packed_ >> shift);
    }
    std::uint32_t packed_ = 0;
};

/// Has room for kKinds; what comes later is kept together. One thread counts, anybody reads.
class ErrorCounts {
  public:
    static constexpr std::size_t kKinds = 24;

    void add(ErrorKind kind);
    /// Adds what is counted here to `totals`, by the kinds' texts.
    void tell(std::map<std::string, std::uint64_t>& totals) const;

  private:
    struct Entry {
        std::atomic<std::uint32_t> kind{0};  // 0: free, and so are those behind it
        std::atomic<std::uint64_t> count{0};
    };
    std::array<Entry, kKinds> entries_;
    std::atomic<std::uint64_t> other_{0};
};

}  // namespace lunkit::core
