// SPDX-License-Identifier: Apache-2.0
// SectorCipher: encryption of data by sectors of 512 bytes, as LUKS names it ("aes",
// "xts-plain64", a key). The cipher itself is libgcrypt's.
//
// A sector's initialisation vector comes from its number: its low 32 bits (plain) or all 64
// (plain64), little endian; or that, encrypted with a hash of the key (essiv).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "lunkit/result.hpp"
#include "qcow/secret.hpp"

namespace lunkit::qcow {

inline constexpr std::uint64_t kCryptSector = 512;

enum class IvKind : std::uint8_t { kNone, kPlain, kPlain64, kEssiv };

/// libgcrypt's numbers.
struct CipherSpec {
    int algorithm = 0;
    int mode = 0;
    IvKind iv = IvKind::kNone;
    int essiv_hash = 0;       ///< kEssiv
    int essiv_algorithm = 0;  ///< kEssiv
    std::size_t key_length = 0;
};

/// Of LUKS' words. `mode`: "xts-plain64", "cbc-essiv:sha256", "ecb"...; `key_length`: bytes.
/// ENOTSUP with a sentence that names what is not supported.
[[nodiscard]] Result<CipherSpec> find_cipher(std::string_view name, std::string_view mode,
                                             std::size_t key_length);
/// A hash by LUKS' name, as libgcrypt's number. ENOTSUP.
[[nodiscard]] Result<int> find_hash(std::string_view name);

class SectorCipher {
  public:
    /// EINVAL: the key does not fit. `key` stays in memory as long as this.
    static Result<std::unique_ptr<SectorCipher>> make(const CipherSpec& spec, SecretBytes key);
    SectorCipher(const SectorCipher&) = delete;
    SectorCipher& operator=(const SectorCipher&) = delete;
    SectorCipher(SectorCipher&&) = delete;
    SectorCipher& operator=(SectorCipher&&) = delete;
    ~SectorCipher();

    // In place; whole sectors, the first of which has the number `sector`. Any threads, side by
    // side; takes about a microsecond for a sector or less. 0 or -errno.
    [[nodiscard]] int encrypt(std::span<std::byte> bytes, std::uint64_t sector);
    [[nodiscard]] int decrypt(std::span<std::byte> bytes, std::uint64_t sector);

  private:
    enum class Direction : std::uint8_t { kEncrypt, kDecrypt };
    class Context;  // a key schedule; used by one thread at a time

    SectorCipher(const CipherSpec& spec, SecretBytes key);
    Result<std::unique_ptr<Context>> borrow();
    int run(Direction direction, std::span<std::byte> bytes, std::uint64_t sector);

    const CipherSpec spec_;
    const SecretBytes key_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Context>> idle_;
};

}  // namespace lunkit::qcow
