// SPDX-License-Identifier: Apache-2.0
// Source: what an image reads where it has nothing of its own: its backing file.
#pragma once

#include <cstdint>

#include "lunkit/handler.h"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit::qcow {

class Source {
  public:
    virtual ~Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    Source(Source&&) = delete;
    Source& operator=(Source&&) = delete;

    /// Bytes; whoever is longer than its backing file finds zeros behind it.
    [[nodiscard]] virtual std::uint64_t size() const = 0;
    /// data[data_offset, +length) <- [offset, +length), within size(). `data` outlives the call. An
    /// error's offset counts from the start of this transfer.
    virtual Task<Status> read_range(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                                    std::uint64_t data_offset, std::uint64_t length) = 0;

  protected:
    Source() = default;
};

}  // namespace lunkit::qcow
