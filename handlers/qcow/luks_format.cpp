// SPDX-License-Identifier: Apache-2.0
#include "qcow/luks_format.hpp"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <span>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/luks.hpp"
#include "qcow/luks_key.hpp"
#include "qcow/sector_cipher.hpp"

namespace lunkit::qcow {

namespace {

constexpr std::string_view kCipher = "aes";
constexpr std::string_view kMode = "xts-plain64";
constexpr std::string_view kHash = "sha256";
constexpr std::size_t kKeyLength = 64;
constexpr std::uint32_t kFirstSector = 8;    // of the first slot's key material
constexpr std::uint32_t kSlotSectors = 504;  // 4000 stripes of 64 bytes, in whole pages
static_assert(kNewLuksArea == (kFirstSector + kLuksSlots * kSlotSectors) * kCryptSector);
static_assert(kSlotSectors * kCryptSector >= kKeyLength * kLuksStripes);

Status fill_random(std::span<std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return failure(errno, "the kernel gives no random bytes");
        }
        bytes = bytes.subspan(static_cast<std::size_t>(got));
    }
    return {};
}

/// Of this thread: what else the machine does makes no difference.
double cpu_seconds() {
    timespec now{};
    (void)::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);  // the clock is always there
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

/// As many as take a second, unless that is too few to keep anybody off, or more than a slower
/// machine should have to bear.
Result<std::uint32_t> choose_iterations(int hash) {
    constexpr std::uint32_t kSample = 20'000;
    constexpr double kFewest = 100'000;
    constexpr double kMost = 4'000'000;
    const std::array<std::byte, 32> any{};
    const double begin = cpu_seconds();
    TRY(const SecretBytes key, derive_key(hash, any, any, kSample, kKeyLength));
    const double taken = std::max(cpu_seconds() - begin, 1e-6);
    return static_cast<std::uint32_t>(std::clamp(kSample / taken, kFewest, kMost));
}

/// Random, of version 4 (RFC 4122 4.4).
Result<std::string> make_uuid() {
    std::array<std::byte, 16> bytes{};
    CHECK(fill_random(bytes));
    bytes[6] = (bytes[6] & std::byte{0x0f}) | std::byte{0x40};
    bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const bool dash = i == 4 || i == 6 || i == 8 || i == 10;
        text += fmt::format("{}{:02x}", dash ? "-" : "", std::to_integer<unsigned>(bytes[i]));
    }
    return text;
}

void put_text(std::span<std::byte> area, std::size_t at, std::string_view text) {
    std::memcpy(area.subspan(at, text.size()).data(), text.data(), text.size());
}

/// Everything but what comes of keys.
Status put_names(std::span<std::byte> area) {
    put_text(area, 0, {kLuksMagic.data(), kLuksMagic.size()});
    store_be(&area[6], std::uint16_t{1});
    put_text(area, 8, kCipher);
    put_text(area, 40, kMode);
    put_text(area, 72, kHash);
    store_be(&area[104], static_cast<std::uint32_t>(kNewLuksArea / kCryptSector));
    store_be(&area[108], static_cast<std::uint32_t>(kKeyLength));
    TRY(const std::string uuid, make_uuid());
    put_text(area, 168, uuid);
    for (std::uint32_t i = 0; i < kLuksSlots; ++i) {
        std::byte* const slot = &area[kLuksFirstSlot + i * kLuksSlotLength];
        store_be(slot, i == 0 ? kLuksSlotInUse : kLuksSlotFree);
        store_be(slot + 40, kFirstSector + i * kSlotSectors);
        store_be(slot + 44, static_cast<std::uint32_t>(kLuksStripes));
    }
    return {};
}

/// The digest by which a right key is known.
Status put_digest(std::span<std::byte> area, int hash, const SecretBytes& key,
                  std::uint32_t iterations) {
    constexpr std::size_t kDigest = 20;
    const std::span<std::byte> salt = area.subspan(132, 32);
    CHECK(fill_random(salt));
    TRY(const SecretBytes digest, derive_key(hash, key.span(), salt, iterations, kDigest));
    std::ranges::copy(digest.span(), area.subspan(112, kDigest).begin());
    store_be(&area[164], iterations);
    return {};
}

/// The first key slot and its key material.
Status put_slot(std::span<std::byte> area, int hash, const SecretBytes& key,
                const SecretBytes& passphrase, std::uint32_t iterations) {
    const std::span<std::byte> slot = area.subspan(kLuksFirstSlot, kLuksSlotLength);
    const std::span<std::byte> salt = slot.subspan(8, 32);
    CHECK(fill_random(salt));
    store_be(slot.data() + 4, iterations);
    TRY(const SecretBytes material, SecretBytes::allocate(kKeyLength * kLuksStripes));
    CHECK(fill_random(material.span()));
    CHECK(split_stripes(hash, key.span(), material.span()));
    TRY(SecretBytes slot_key, derive_key(hash, passphrase.span(), salt, iterations, kKeyLength));
    TRY(const CipherSpec spec, find_cipher(kCipher, kMode, kKeyLength));
    TRY(const std::unique_ptr<SectorCipher> cipher, SectorCipher::make(spec, std::move(slot_key)));
    if (const int status = cipher->encrypt(material.span(), 0); status != 0) {
        return failure(-status, "a key slot cannot be encrypted");
    }
    std::ranges::copy(material.span(), area.subspan(kFirstSector * kCryptSector).begin());
    return {};
}

}  // namespace

Result<std::vector<std::byte>> format_luks(const SecretBytes& passphrase) {
    constexpr std::uint32_t kFewestOfDigest = 1000;
    CHECK(prepare_gcrypt());
    TRY(const int hash, find_hash(kHash));
    TRY(const std::uint32_t iterations, choose_iterations(hash));
    TRY(const SecretBytes key, SecretBytes::allocate(kKeyLength));
    CHECK(fill_random(key.span()));
    std::vector<std::byte> area((kFirstSector + kSlotSectors) * kCryptSector);
    CHECK(put_names(area));
    CHECK(put_digest(area, hash, key, std::max(iterations / 8, kFewestOfDigest)));
    CHECK(put_slot(area, hash, key, passphrase, iterations));
    return area;
}

}  // namespace lunkit::qcow
