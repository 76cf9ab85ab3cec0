// SPDX-License-Identifier: Apache-2.0
// Disk: the top image of a chain, of whatever version, as QcowDevice serves it.
#pragma once

#include <cerrno>
#include <cstdint>
#include <span>
#include <string>

#include "lunkit/block_device.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "qcow/image_file.hpp"
#include "qcow/source.hpp"

namespace lunkit::qcow {

/// What became of looking at all metadata.
struct Verdict {
    std::string damage;          ///< empty: sound; else the first that was found, as a sentence
    std::uint64_t leaked = 0;    ///< clusters that are counted and that nobody uses; no harm
    std::uint64_t repaired = 0;  ///< leaked ones that are free now
};

/// Who only reads implements the first half; the second then says that it cannot.
class Disk : public Source {
  public:
    /// What becomes of a cleared range's space.
    enum class Space : std::uint8_t {
        kRelease,  ///< goes back to the file system
        kKeep,     ///< stays reserved, where there is some
    };

    [[nodiscard]] virtual const ImageFile& file() const = 0;
    [[nodiscard]] virtual std::uint64_t cluster_size() const = 0;
    [[nodiscard]] virtual bool read_only() const = 0;
    /// Whether the image, opened read-only, could be opened for writing; why not, as a sentence.
    [[nodiscard]] virtual Status check_writable() const = 0;
    virtual Task<Status> read(Queue& queue, const IoRequest& io) = 0;
    virtual Task<Result<std::uint32_t>> extents(Queue& queue, ByteRange range,
                                                std::span<Extent> extents) = 0;

    /// Whether a cleared range can be made to read as zeros without writing them.
    [[nodiscard]] virtual bool can_clear() const { return false; }
    virtual Task<Status> write(Queue& /*queue*/, const IoRequest& /*io*/, bool /*durable*/) {
        co_return failure(EROFS);
    }
    /// The range reads as zeros afterwards. EOPNOTSUPP unless can_clear().
    virtual Task<Status> clear(Queue& /*queue*/, ByteRange /*range*/, Space /*space*/,
                               bool /*durable*/) {
        co_return failure(EROFS);
    }
    /// The same by writing, for images that have no other way.
    virtual Task<Status> write_zeros(Queue& /*queue*/, ByteRange /*range*/, bool /*durable*/) {
        co_return failure(EROFS);
    }
    virtual Task<Status> flush(Queue& /*queue*/) { co_return Status{}; }
    /// Compares all refcounts with what the tables use; no other request runs. `repair`: leaked
    /// clusters become free, durably, if nothing is damaged, and the counts of an image with the
    /// dirty bit are mended; not read_only(). An error: it could not be looked at.
    virtual Task<Result<Verdict>> verify(Queue& /*queue*/, bool /*repair*/) {
        co_return failure(ENOTSUP, file().path() + ": an image of this version has no refcounts");
    }
    /// The new part reads as zeros. Durable when it completes.
    virtual Task<Status> grow(Queue& /*queue*/, std::uint64_t /*size*/) {
        co_return failure(EROFS, file().path() + " is served read-only");
    }
};

}  // namespace lunkit::qcow
