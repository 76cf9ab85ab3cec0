// SPDX-License-Identifier: Apache-2.0
// A new encryption header: LUKS version 1 with AES-256 in mode xts-plain64 and SHA-256, as QEMU
// makes it; a random master key, and one key slot, for the passphrase.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lunkit/result.hpp"
#include "qcow/secret.hpp"

namespace lunkit::qcow {

/// Bytes of the area; format_luks() gives its start, and zeros follow.
inline constexpr std::uint64_t kNewLuksArea = 4040ULL * 512;

/// Worker thread; blocks for about two seconds: it measures how many iterations of PBKDF2 this
/// machine makes in one, within limits, and that long is a guess to take. Randomness is the
/// kernel's.
[[nodiscard]] Result<std::vector<std::byte>> format_luks(const SecretBytes& passphrase);

}  // namespace lunkit::qcow
