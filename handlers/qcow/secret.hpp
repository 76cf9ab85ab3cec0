// SPDX-License-Identifier: Apache-2.0
// Secrets: passphrases and keys. They live in memory that is locked, so that it never reaches a
// swap device, left out of core dumps, and wiped when it is given back; key schedules in
// libgcrypt's pool, which is so as well. Beyond some eighty schedules it takes ordinary memory,
// which it only wipes. They come from files, never from a configuration string, and stand in no
// message.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "lunkit/result.hpp"

namespace lunkit::qcow {

/// libgcrypt, ready for use. Any thread; before each use of it.
Status prepare_gcrypt();

class SecretBytes {
  public:
    SecretBytes() = default;
    /// Zeros. ENOMEM.
    static Result<SecretBytes> allocate(std::size_t size);
    SecretBytes(SecretBytes&& other) noexcept
        : memory_(std::exchange(other.memory_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    SecretBytes& operator=(SecretBytes&& other) noexcept {
        std::swap(memory_, other.memory_);
        std::swap(size_, other.size_);
        return *this;
    }
    SecretBytes(const SecretBytes&) = delete;
    SecretBytes& operator=(const SecretBytes&) = delete;
    ~SecretBytes();

    [[nodiscard]] std::span<std::byte> span() const { return {memory_, size_}; }
    [[nodiscard]] std::size_t size() const { return size_; }
    /// Keeps the first `size` bytes.
    void shrink(std::size_t size) { size_ = size < size_ ? size : size_; }

  private:
    std::byte* memory_ = nullptr;
    std::size_t size_ = 0;
};

/// Where the passphrase of encrypted images is; at most one of them is given.
struct SecretSource {
    std::string file;        ///< absolute path
    std::string credential;  ///< name of a credential of the service (systemd.exec(5))
    [[nodiscard]] bool given() const { return !file.empty() || !credential.empty(); }
};

/// All bytes of it: as with QEMU's `--object secret,file=`, a newline at the end belongs to it.
/// Worker thread; blocks. Errors are sentences with the path. EPERM: others may read it.
[[nodiscard]] Result<SecretBytes> read_secret(const SecretSource& source);

}  // namespace lunkit::qcow
