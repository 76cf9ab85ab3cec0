// SPDX-License-Identifier: Apache-2.0
// File: a backing file or block device of a plugin, asynchronous, over the host calls.
// The runner chooses how (inline where it cannot block, io_uring, workers), checks locks, climbs
// the fallocate ladder and latches the first failed flush.
#pragma once

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "lunkit/handler.h"
#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"

namespace lunkit {

/// Turns an Outcome into a Status (its count is dropped: transfers are whole).
inline Status to_status(const Outcome& outcome) {
    if (outcome.ok()) {
        return {};
    }
    return std::unexpected<Error>(Error{static_cast<int>(-outcome.result),
                                        {},
                                        outcome.error_offset,
                                        static_cast<ErrorClass>(outcome.error_class)});
}

class File {
  public:
    File() = default;
    File(File&& other) noexcept : host_(other.host_), file_(std::exchange(other.file_, nullptr)) {}
    File& operator=(File&& other) noexcept {
        if (this != &other) {
            close();
            host_ = other.host_;
            file_ = std::exchange(other.file_, nullptr);
        }
        return *this;
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() { close(); }

    /// Worker thread; blocks. `flags` LUNKIT_FILE_*; `size` for LUNKIT_FILE_CREATE; `base` for
    /// LUNKIT_FILE_CONFINED. The error says what a person needs.
    static Result<File> open(const lunkit_host& host, const std::string& path, std::uint32_t flags,
                             std::uint64_t size = 0, const char* base = nullptr) {
        std::array<char, 512> error{};
        lunkit_file_open request{};
        request.struct_size = sizeof request;
        request.flags = flags;
        request.path = path.c_str();
        request.base = base;
        request.size = size;
        request.error = error.data();
        request.error_size = error.size();
        File file;
        file.host_ = &host;
        if (const int status = host.file_open(&request, &file.file_); status < 0) {
            return failure(-status, error.data());
        }
        return file;
    }
    explicit operator bool() const { return file_ != nullptr; }

    [[nodiscard]] Result<lunkit_file_info> info() const {
        lunkit_file_info info{};
        info.struct_size = sizeof info;
        if (const int status = host_->file_info(file_, &info); status < 0) {
            return failure(-status);
        }
        return info;
    }

    /// data[data_offset, +length) <- file[offset, +length)
    auto read(Queue& queue, std::uint64_t offset, const lunkit_data& data,
              std::uint64_t data_offset, std::uint64_t length) {
        return Operation([=, this, &queue, &data](lunkit_completion* completion) {
            return host_->file_read(queue.handle(), file_, offset, &data, data_offset, length,
                                    completion);
        });
    }
    /// file[offset, +length) <- data[data_offset, +length); flags: LUNKIT_IO_FUA
    auto write(Queue& queue, std::uint64_t offset, const lunkit_data& data,
               std::uint64_t data_offset, std::uint64_t length, std::uint32_t flags) {
        return Operation([=, this, &queue, &data](lunkit_completion* completion) {
            return host_->file_write(queue.handle(), file_, offset, &data, data_offset, length,
                                     flags, completion);
        });
    }
    auto flush(Queue& queue) {
        return Operation([this, &queue](lunkit_completion* completion) {
            return host_->file_flush(queue.handle(), file_, completion);
        });
    }
    auto discard(Queue& queue, std::uint64_t offset, std::uint64_t length) {
        return Operation([=, this, &queue](lunkit_completion* completion) {
            return host_->file_discard(queue.handle(), file_, offset, length, completion);
        });
    }
    /// flags: LUNKIT_ZERO_*
    auto zero(Queue& queue, std::uint64_t offset, std::uint64_t length, std::uint32_t flags) {
        return Operation([=, this, &queue](lunkit_completion* completion) {
            return host_->file_zero(queue.handle(), file_, offset, length, flags, completion);
        });
    }
    auto extents(Queue& queue, std::uint64_t offset, std::uint64_t length,
                 lunkit_extent_list& list) {
        return Operation([=, this, &queue, &list](lunkit_completion* completion) {
            return host_->file_extents(queue.handle(), file_, offset, length, &list, completion);
        });
    }
    /// Worker thread; blocks.
    Status resize(std::uint64_t size) {
        if (const int status = host_->file_resize(file_, size); status < 0) {
            return failure(-status);
        }
        return {};
    }
    void close() {
        if (file_ != nullptr) {
            host_->file_close(std::exchange(file_, nullptr));
        }
    }

  private:
    const lunkit_host* host_ = nullptr;
    lunkit_file* file_ = nullptr;
};

}  // namespace lunkit
