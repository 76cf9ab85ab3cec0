// SPDX-License-Identifier: Apache-2.0
// Between a passphrase and a master key (LUKS On-Disk Format Specification 1.2.3, 2.3 and 2.4):
// PBKDF2, and the anti-forensic splitter, which spreads a key so that all of it is lost with a part
// of what it has become.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lunkit/result.hpp"
#include "qcow/secret.hpp"

namespace lunkit::qcow {

/// What everybody writes, and QEMU insists on.
inline constexpr std::size_t kLuksStripes = 4000;

// `hash`: libgcrypt's number. Worker thread.

/// PBKDF2: `length` bytes; takes as long as `iterations` make it.
[[nodiscard]] Result<SecretBytes> derive_key(int hash, std::span<const std::byte> passphrase,
                                             std::span<const std::byte> salt,
                                             std::uint32_t iterations, std::size_t length);
/// "AFmerge": the key whose stripes these are.
[[nodiscard]] Result<SecretBytes> merge_stripes(int hash, std::span<const std::byte> stripes,
                                                std::size_t key_length);
/// "AFsplit". `stripes`: of random bytes; the last one becomes what makes them those of `key`.
[[nodiscard]] Status split_stripes(int hash, std::span<const std::byte> key,
                                   std::span<std::byte> stripes);

}  // namespace lunkit::qcow
