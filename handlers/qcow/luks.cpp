// SPDX-License-Identifier: Apache-2.0
#include "qcow/luks.hpp"

#include <gcrypt.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "lunkit/io_request.hpp"
#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/luks_key.hpp"

namespace lunkit::qcow {

namespace {

// Whoever made the image decides how long we work: at most some minutes for a wrong passphrase.
constexpr std::uint32_t kMostIterations = 100'000'000;
constexpr std::uint64_t kMostRounds = 400'000'000;  // of the hash, all slots together

std::unexpected<Error> bad(std::string what) {
    return failure(EINVAL, "LUKS header: " + std::move(what));
}

std::uint32_t u32(std::span<const std::byte> bytes, std::size_t at) {
    return load_be<std::uint32_t>(bytes.data() + at);
}

/// A name of the header: letters, digits, '-' and ':', padded with NULs.
Result<std::string> read_name(std::span<const std::byte> start, std::size_t at, const char* field) {
    constexpr std::size_t kLength = 32;
    std::string name;
    for (const std::byte byte : start.subspan(at, kLength)) {
        const char letter = static_cast<char>(byte);
        if (letter == '\0') {
            return name;
        }
        const bool good = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                          (letter >= '0' && letter <= '9') || letter == '-' || letter == ':';
        if (!good) {
            break;
        }
        name += letter;
    }
    return bad(fmt::format("{} is no name", field));
}

Status check_iterations(std::uint32_t iterations, const char* field) {
    if (iterations == 0 || iterations > kMostIterations) {
        return bad(
            fmt::format("{} {} is 0 or above the limit of {}", field, iterations, kMostIterations));
    }
    return {};
}

Status read_slots(std::span<const std::byte> start, std::uint64_t area_length, LuksHeader& header) {
    for (std::size_t i = 0; i < kLuksSlots; ++i) {
        const std::span<const std::byte> bytes =
            start.subspan(kLuksFirstSlot + i * kLuksSlotLength, kLuksSlotLength);
        const std::uint32_t active = u32(bytes, 0);
        if (active == kLuksSlotFree) {
            continue;
        }
        if (active != kLuksSlotInUse) {
            return bad(
                fmt::format("key slot {}: active {:#010x} is neither in use nor free", i, active));
        }
        LuksSlot slot;
        slot.iterations = u32(bytes, 4);
        std::ranges::copy(bytes.subspan(8, slot.salt.size()), slot.salt.begin());
        slot.offset = u32(bytes, 40) * kCryptSector;
        CHECK(check_iterations(slot.iterations, "a key slot's iterations"));
        if (u32(bytes, 44) != kLuksStripes) {
            return bad(fmt::format("key slot {}: stripes {} is not 4000", i, u32(bytes, 44)));
        }
        if (slot.offset < kLuksHeaderLength ||
            !ByteRange::fits(slot.offset, header.material_length(), area_length)) {
            return bad(
                fmt::format("key slot {}: its key material at {:#x} does not lie within "
                            "the encryption header",
                            i, slot.offset));
        }
        header.slots.push_back(slot);
    }
    return header.slots.empty() ? Status{bad("no key slot is in use")} : Status{};
}

/// A passphrase that opens no slot is tried with all of them.
Status check_work(const LuksHeader& header) {
    const std::size_t digest_length = gcry_md_get_algo_dlen(header.hash);
    const auto rounds = [digest_length](std::uint64_t iterations, std::size_t length) {
        return iterations * ((length + digest_length - 1) / digest_length);
    };
    std::uint64_t sum = 0;
    for (const LuksSlot& slot : header.slots) {
        sum += rounds(slot.iterations, header.cipher.key_length) +
               rounds(header.digest_iterations, header.digest.size());
    }
    if (sum > kMostRounds) {
        return bad(
            fmt::format("the iterations of its {} key slots come to {} rounds of the hash, "
                        "above the limit of {}",
                        header.slots.size(), sum, kMostRounds));
    }
    return {};
}

/// The master key from one slot, or nothing if the passphrase is another's.
Result<std::optional<SecretBytes>> open_slot(const LuksHeader& header, const LuksSlot& slot,
                                             const LuksReader& read,
                                             const SecretBytes& passphrase) {
    const std::size_t key_length = header.cipher.key_length;
    TRY(const SecretBytes material, SecretBytes::allocate(header.material_length()));
    CHECK(read(slot.offset, material.span()));
    TRY(SecretBytes slot_key,
        derive_key(header.hash, passphrase.span(), slot.salt, slot.iterations, key_length));
    TRY(const std::unique_ptr<SectorCipher> cipher,
        SectorCipher::make(header.cipher, std::move(slot_key)));
    if (const int status = cipher->decrypt(material.span(), 0); status != 0) {
        return failure(-status, "a key slot cannot be decrypted");
    }
    TRY(SecretBytes key, merge_stripes(header.hash, material.span(), key_length));
    TRY(const SecretBytes digest, derive_key(header.hash, key.span(), header.digest_salt,
                                             header.digest_iterations, header.digest.size()));
    if (!std::ranges::equal(digest.span(), header.digest)) {
        return std::nullopt;
    }
    return std::optional(std::move(key));
}

}  // namespace

std::size_t LuksHeader::material_length() const {
    return (cipher.key_length * kLuksStripes + kCryptSector - 1) / kCryptSector * kCryptSector;
}

Result<LuksHeader> parse_luks(std::span<const std::byte> start, std::uint64_t area_length) {
    if (start.size() < kLuksHeaderLength || std::memcmp(start.data(), kLuksMagic.data(), 6) != 0) {
        return bad("it does not begin with LUKS' magic");
    }
    if (const auto version = load_be<std::uint16_t>(start.data() + 6); version != 1) {
        return failure(ENOTSUP, fmt::format("LUKS version {} is not supported", version));
    }
    TRY(const std::string cipher, read_name(start, 8, "cipher_name"));
    TRY(const std::string mode, read_name(start, 40, "cipher_mode"));
    TRY(const std::string hash, read_name(start, 72, "hash_spec"));
    LuksHeader header;
    TRY(header.cipher, find_cipher(cipher, mode, u32(start, 108)));
    TRY(header.hash, find_hash(hash));
    std::ranges::copy(start.subspan(112, header.digest.size()), header.digest.begin());
    std::ranges::copy(start.subspan(132, header.digest_salt.size()), header.digest_salt.begin());
    header.digest_iterations = u32(start, 164);
    CHECK(check_iterations(header.digest_iterations, "master_key_iterations"));
    CHECK(read_slots(start, area_length, header));
    CHECK(check_work(header));
    return header;
}

Result<std::unique_ptr<SectorCipher>> unlock_luks(const LuksHeader& header, const LuksReader& read,
                                                  const SecretBytes& passphrase) {
    for (const LuksSlot& slot : header.slots) {
        TRY(std::optional<SecretBytes> key, open_slot(header, slot, read, passphrase));
        if (key) {
            return SectorCipher::make(header.cipher, std::move(*key));
        }
    }
    return failure(EKEYREJECTED, "the passphrase opens none of its key slots");
}

}  // namespace lunkit::qcow
