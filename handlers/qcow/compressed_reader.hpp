// SPDX-License-Identifier: Apache-2.0
// CompressedReader: reads compressed clusters, and remembers the last one: who reads on in it does
// not inflate it again.
#pragma once

#include <cstdint>

#include "lunkit/handler.h"
#include "lunkit/host_buffer.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "qcow/header.hpp"
#include "qcow/image_file.hpp"

namespace lunkit::qcow {

class CompressedReader {
  public:
    /// `file` outlives this.
    CompressedReader(ImageFile& file, CompressionType type, std::uint64_t cluster_size)
        : file_(file), type_(type), cluster_size_(cluster_size) {}

    /// Compressed data in the file. What is at an offset stays as long as an entry calls it
    /// compressed, since compressed clusters are never written here.
    struct Place {
        std::uint64_t offset = 0;
        std::uint32_t length = 0;  ///< bytes; may be more than there are
    };
    /// data[data_offset, +length) <- cluster[within, +length). `data` outlives the call.
    Task<Status> read(Queue& queue, Place place, std::uint64_t within, const lunkit_data& data,
                      std::uint64_t data_offset, std::uint64_t length);

  private:
    ImageFile& file_;
    const CompressionType type_;
    const std::uint64_t cluster_size_;
    std::uint64_t offset_ = 0;  // of inflated_
    HostBuffer inflated_;
};

}  // namespace lunkit::qcow
