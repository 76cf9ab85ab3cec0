// SPDX-License-Identifier: Apache-2.0
// GuestData: the way of the guest's bytes to and from host clusters. All of them take it, also what
// is copied from a backing file or an old cluster: so an encrypted image never holds one in clear.
//
// Encryption is by sectors of 512 bytes, whose number is their place in the host file (qcow2.rst
// "Data encryption"). It happens in a copy: the caller's bytes stay as they are, and a read that
// fails shows nobody what was not decrypted.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "lunkit/handler.h"
#include "lunkit/host_buffer.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "qcow/image_file.hpp"
#include "qcow/sector_cipher.hpp"

namespace lunkit::qcow {

class GuestData {
  public:
    /// `file` outlives this. `encrypted` without a cipher: locked, all calls end with ENOKEY.
    GuestData(ImageFile& file, bool encrypted, std::unique_ptr<SectorCipher> cipher)
        : file_(file), encrypted_(encrypted), cipher_(std::move(cipher)) {}

    /// What was never written does not read as zeros.
    [[nodiscard]] bool encrypted() const { return encrypted_; }

    // As those of ImageFile. Writes to an encrypted image are whole sectors.
    Task<Status> read(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                      std::uint64_t data_offset, std::uint64_t length);
    Task<Status> write(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                       std::uint64_t data_offset, std::uint64_t length, std::uint32_t flags = 0);
    Task<Status> write_bytes(Queue& queue, std::uint64_t offset, std::span<const std::byte> from);

  private:
    Task<Status> decrypt(Queue& queue, std::uint64_t offset, std::span<std::byte> bytes);
    Task<Status> encrypt(Queue& queue, std::uint64_t offset, std::span<std::byte> bytes);
    template <typename Work>
    Task<Status> crypt(Queue& queue, std::size_t size, Work work);

    ImageFile& file_;
    const bool encrypted_;
    std::unique_ptr<SectorCipher> cipher_;
};

}  // namespace lunkit::qcow
