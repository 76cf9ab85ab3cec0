// SPDX-License-Identifier: Apache-2.0
#include "qcow/luks_key.hpp"

#include <gcrypt.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"

namespace lunkit::qcow {

namespace {

/// "H1" of the specification: spreads each bit over its digest-sized piece.
void diffuse(int hash, std::span<std::byte> block, std::span<std::byte> input,
             std::span<std::byte> digest) {
    for (std::size_t at = 0, piece = 0; at < block.size(); at += digest.size(), ++piece) {
        const std::size_t length = std::min(digest.size(), block.size() - at);
        store_be(input.data(), static_cast<std::uint32_t>(piece));
        std::memcpy(input.data() + 4, block.data() + at, length);
        gcry_md_hash_buffer(hash, digest.data(), input.data(), 4 + length);
        std::memcpy(block.data() + at, digest.data(), length);
    }
}

}  // namespace

Result<SecretBytes> derive_key(int hash, std::span<const std::byte> passphrase,
                               std::span<const std::byte> salt, std::uint32_t iterations,
                               std::size_t length) {
    TRY(SecretBytes key, SecretBytes::allocate(length));
    const gcry_error_t error =
        gcry_kdf_derive(passphrase.data(), passphrase.size(), GCRY_KDF_PBKDF2, hash, salt.data(),
                        salt.size(), iterations, length, key.span().data());
    if (error != 0) {
        return failure(EIO, fmt::format("libgcrypt: {}", gcry_strerror(error)));
    }
    return key;
}

Result<SecretBytes> merge_stripes(int hash, std::span<const std::byte> stripes,
                                  std::size_t key_length) {
    const std::size_t digest_length = gcry_md_get_algo_dlen(hash);
    TRY(SecretBytes key, SecretBytes::allocate(key_length));
    TRY(const SecretBytes digest, SecretBytes::allocate(digest_length));
    TRY(const SecretBytes input, SecretBytes::allocate(4 + digest_length));
    for (std::size_t stripe = 0; stripe < kLuksStripes; ++stripe) {
        for (std::size_t i = 0; i < key_length; ++i) {
            key.span()[i] ^= stripes[stripe * key_length + i];
        }
        if (stripe + 1 < kLuksStripes) {
            diffuse(hash, key.span(), input.span(), digest.span());
        }
    }
    return key;
}

Status split_stripes(int hash, std::span<const std::byte> key, std::span<std::byte> stripes) {
    const std::size_t digest_length = gcry_md_get_algo_dlen(hash);
    TRY(const SecretBytes block, SecretBytes::allocate(key.size()));
    TRY(const SecretBytes digest, SecretBytes::allocate(digest_length));
    TRY(const SecretBytes input, SecretBytes::allocate(4 + digest_length));
    for (std::size_t stripe = 0; stripe + 1 < kLuksStripes; ++stripe) {
        for (std::size_t i = 0; i < key.size(); ++i) {
            block.span()[i] ^= stripes[stripe * key.size() + i];
        }
        diffuse(hash, block.span(), input.span(), digest.span());
    }
    const std::span<std::byte> last = stripes.subspan((kLuksStripes - 1) * key.size(), key.size());
    for (std::size_t i = 0; i < key.size(); ++i) {
        last[i] = block.span()[i] ^ key[i];
    }
    return {};
}

}  // namespace lunkit::qcow
