// SPDX-License-Identifier: Apache-2.0
// IovWindow: the iovecs of a part of a request's data, for one system call.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lunkit/handler.h"

namespace lunkit::host {

class IovWindow {
  public:
    /// The iovecs of data[offset, offset + length), or of its beginning where it has too many for
    /// one call. Kind LUNKIT_DATA_IOV; the caller has checked the range. The data's own array is
    /// given where it fits, so that nothing is copied; valid until the next call.
    std::span<const iovec> at(const lunkit_data& data, std::uint64_t offset, std::uint64_t length) {
        std::uint32_t first = 0;
        const bool to_the_end = offset + length == data.length;
        while (first < data.iov_count && offset >= data.iov[first].iov_len) {
            offset -= data.iov[first].iov_len;
            ++first;
        }
        if (offset == 0 && to_the_end) {
            return {data.iov + first, std::min(data.iov_count - first, kMost)};
        }
        std::size_t count = 0;
        for (std::uint32_t i = first; i < data.iov_count && length > 0 && count < own_.size();
             ++i) {
            const std::uint64_t piece =
                std::min<std::uint64_t>(data.iov[i].iov_len - offset, length);
            own_[count++] = {static_cast<std::byte*>(data.iov[i].iov_base) + offset,
                             static_cast<std::size_t>(piece)};
            offset = 0;
            length -= piece;
        }
        return {own_.data(), count};
    }

  private:
    static constexpr std::uint32_t kMost = 1024;  // IOV_MAX
    std::array<iovec, 64> own_;
};

}  // namespace lunkit::host
