// SPDX-License-Identifier: Apache-2.0
// ImageFile: the file that holds an image (or a raw backing file), with its end.
//
// Images have ragged ends: the last cluster may be shorter than a cluster, and what is missing
// reads as zeros. All writing while the device is open goes through the host's calls. The _blocking
// functions are for open() (reading) and close() (a last commit): worker thread, no queue is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "lunkit/file.hpp"
#include "lunkit/handler.h"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit::qcow {

class ImageFile {
  public:
    /// Worker thread; blocks. `flags`, `base`: as lunkit::File::open.
    /// `size`: for LUNKIT_FILE_CREATE.
    static Result<ImageFile> open(const lunkit_host& host, const std::string& path,
                                  std::uint32_t flags, const char* base = nullptr,
                                  std::uint64_t size = 0);

    [[nodiscard]] const lunkit_host& host() const { return *host_; }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] bool is_block_device() const { return info_.is_block_device != 0; }
    [[nodiscard]] const lunkit_file_info& info() const { return info_; }
    /// Bytes; grows with what is written behind it.
    [[nodiscard]] std::uint64_t end() const { return end_; }

    /// data[data_offset, +length) <- file[offset, +length), zeros behind the end of the file.
    /// An error's offset counts from the start of this transfer. `data` outlives the call.
    Task<Status> read(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                      std::uint64_t data_offset, std::uint64_t length);
    /// Metadata: all of it is there, or EIO.
    Task<Status> read_exact(Queue& queue, std::uint64_t offset, std::span<std::byte> to);
    /// `flags`: LUNKIT_IO_FUA.
    Task<Status> write(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                       std::uint64_t data_offset, std::uint64_t length, std::uint32_t flags = 0);
    Task<Status> write_bytes(Queue& queue, std::uint64_t offset, std::span<const std::byte> from);
    /// Zeros that read as such; the host chooses how. `flags`: LUNKIT_ZERO_*.
    Task<Status> zero(Queue& queue, std::uint64_t offset, std::uint64_t length,
                      std::uint32_t flags);
    Task<Status> discard(Queue& queue, std::uint64_t offset, std::uint64_t length);
    Task<Status> flush(Queue& queue);
    Task<Status> resize(Queue& queue, std::uint64_t size);

    /// A flush or a FUA write has failed: what was written before may not be in the file, and
    /// flush_blocking() would not tell.
    [[nodiscard]] bool has_lost() const { return lost_; }

    Status read_blocking(std::uint64_t offset, std::span<std::byte> to) const;
    Status write_blocking(std::uint64_t offset, std::span<const std::byte> from);
    Status resize_blocking(std::uint64_t size);
    Status flush_blocking() const;

  private:
    ImageFile() = default;
    void wrote_until(std::uint64_t end) { end_ = end > end_ ? end : end_; }

    const lunkit_host* host_ = nullptr;
    std::string path_;
    File file_;
    lunkit_file_info info_{};
    std::uint64_t end_ = 0;
    bool lost_ = false;
};

/// Fills data[offset, +length) with zeros, whatever kind of data it is.
Status fill_zeros(const lunkit_host& host, const lunkit_data& data, std::uint64_t offset,
                  std::uint64_t length);
/// Copies data[offset, ...) to `to`, whatever kind of data it is.
Status copy_out(const lunkit_host& host, const lunkit_data& data, std::uint64_t offset,
                std::span<std::byte> to);
/// Copies `from` to data[offset, ...), whatever kind of data it is.
Status copy_in(const lunkit_host& host, const lunkit_data& data, std::uint64_t offset,
               std::span<const std::byte> from);

}  // namespace lunkit::qcow
