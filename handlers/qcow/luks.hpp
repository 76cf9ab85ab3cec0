// SPDX-License-Identifier: Apache-2.0
// LUKS version 1, as far as a qcow2 image uses it (LUKS On-Disk Format Specification 1.2.3;
// qcow2.rst "Full disk encryption header pointer"): the header leads from a passphrase to the key
// of the data. Big endian:
//
//     0  magic "LUKS\xba\xbe", version u16 = 1    112  master_key_digest [20]
//     8  cipher_name [32]                         132  master_key_salt [32]
//    40  cipher_mode [32]                         164  master_key_iterations u32
//    72  hash_spec [32]                           168  uuid [40]
//   104  payload_offset u32, unused in qcow2      208  8 key slots of 48: active u32, iterations
//   108  master_key_length u32                         u32, salt [32], key_material_offset u32
//                                                      (sectors of 512), stripes u32
//
// A slot has the master key, spread over `stripes` times its size, every bit of which is needed to
// get it back, and encrypted by a key that PBKDF2 makes of the passphrase.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "lunkit/result.hpp"
#include "qcow/secret.hpp"
#include "qcow/sector_cipher.hpp"

namespace lunkit::qcow {

inline constexpr std::size_t kLuksHeaderLength = 592;
inline constexpr std::array kLuksMagic = {'L', 'U', 'K', 'S', '\xba', '\xbe'};
inline constexpr std::size_t kLuksSlots = 8;
inline constexpr std::size_t kLuksFirstSlot = 208;
inline constexpr std::size_t kLuksSlotLength = 48;
inline constexpr std::uint32_t kLuksSlotInUse = 0x00ac71f3U;
inline constexpr std::uint32_t kLuksSlotFree = 0x0000deadU;

struct LuksSlot {
    std::uint32_t iterations = 0;
    std::array<std::byte, 32> salt{};
    std::uint64_t offset = 0;  ///< of the key material, bytes from the header's start
};

/// As parse_luks() gives it, all offsets and lengths are within the area and the limits.
struct LuksHeader {
    CipherSpec cipher;
    int hash = 0;  ///< libgcrypt's number
    std::array<std::byte, 20> digest{};
    std::array<std::byte, 32> digest_salt{};
    std::uint32_t digest_iterations = 0;
    std::vector<LuksSlot> slots;  ///< those in use

    /// Bytes of a slot's key material, in whole sectors.
    [[nodiscard]] std::size_t material_length() const;
};

/// `start`: the first kLuksHeaderLength bytes of the area; `area_length`: bytes of all of it.
/// EINVAL: not valid; ENOTSUP: not supported. Sentences that name the field.
[[nodiscard]] Result<LuksHeader> parse_luks(std::span<const std::byte> start,
                                            std::uint64_t area_length);

/// Reads from the area: offset in it, where to.
using LuksReader = std::function<Status(std::uint64_t offset, std::span<std::byte> to)>;

/// The cipher of the data. Worker thread; blocks: it takes as long as its maker wanted a guess to
/// take, a second or two for each slot. EKEYREJECTED: no slot opens with the passphrase.
[[nodiscard]] Result<std::unique_ptr<SectorCipher>> unlock_luks(const LuksHeader& header,
                                                                const LuksReader& read,
                                                                const SecretBytes& passphrase);

}  // namespace lunkit::qcow
