// SPDX-License-Identifier: Apache-2.0
// FileDevice: a regular file or a block device, served as it is. How its bytes move, who else may
// use it and how zeros are made is the runner's business (lunkit/file.hpp).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "file_options.hpp"
#include "lunkit/handler.hpp"

namespace lunkit::file {

class FileDevice final : public BlockDevice {
  public:
    static Result<std::unique_ptr<FileDevice>> open(const OpenRequest& request);
    static Status check_config(const CheckRequest& request);

    [[nodiscard]] DeviceInfo info() const override;
    Task<Status> read(Queue& queue, const IoRequest& io) override;
    Task<Status> write(Queue& queue, const IoRequest& io) override;
    Task<Status> flush(Queue& queue) override;
    Task<Status> discard(Queue& queue, const IoRequest& io) override;
    Task<Status> write_zeroes(Queue& queue, const IoRequest& io) override;
    Task<Result<std::uint32_t>> extents(Queue& queue, const IoRequest& io,
                                        std::span<Extent> extents) override;
    Task<Result<Space>> space(Queue& queue) override;
    Status resize(std::uint64_t size) override;
    /// Off: every write is durable before it completes. Who switches it off flushes afterwards.
    Status set_write_cache(bool enabled) override;

  private:
    FileDevice(FileOptions options, File file, const lunkit_file_info& info, std::uint64_t size);
    [[nodiscard]] bool must_be_durable(const IoRequest& io) const {
        return io.fua() || !write_cache_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] bool takes_growth_back(std::uint64_t size) const;

    const FileOptions options_;
    File file_;
    const lunkit_file_info file_info_;  // its size is that of the opening
    std::atomic<std::uint64_t> size_;   // of the LUN, bytes
    std::uint64_t grown_from_ = 0;      // its size before the last resize; 0: that was no growth
    std::atomic<bool> write_cache_{true};
};

}  // namespace lunkit::file
