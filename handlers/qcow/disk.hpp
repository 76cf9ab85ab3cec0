// SPDX-License-Identifier: Apache-2.0
// Disk: an image of whatever version. Its reading is here: a range is mapped piece by piece, and
// each piece comes from the image's file, from its backing file, or is zeros.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "lunkit/block_device.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "qcow/compressed_reader.hpp"
#include "qcow/image_file.hpp"
#include "qcow/mapping.hpp"
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

    [[nodiscard]] const ImageFile& file() const { return file_; }
    [[nodiscard]] std::uint64_t cluster_size() const { return cluster_size_; }
    [[nodiscard]] virtual bool read_only() const = 0;
    /// Whether the image, opened read-only, could be opened for writing; why not, as a sentence.
    [[nodiscard]] virtual Status check_writable() const = 0;
    virtual Task<Status> read(Queue& queue, const IoRequest& io) = 0;
    Task<Result<std::uint32_t>> extents(Queue& queue, ByteRange range, std::span<Extent> extents);
    /// For those who write the image also behind size(): the rest of the last cluster.
    Task<Status> read_range(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                            std::uint64_t data_offset, std::uint64_t length) override;

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
    /// What lies behind goes. Nobody uses that any more. Durable when it completes.
    virtual Task<Status> shrink(Queue& /*queue*/, std::uint64_t /*size*/) {
        co_return failure(EROFS, file().path() + " is served read-only");
    }

  protected:
    /// `backing`: or nullptr.
    Disk(ImageFile file, CompressionType compression, std::uint64_t cluster_size,
         std::unique_ptr<Source> backing);

    /// The state at `offset`, below mapped_end(), for at most `length` bytes.
    virtual Task<Result<Mapping>> map(Queue& queue, std::uint64_t offset, std::uint64_t length) = 0;
    /// How far map() tells anything; behind it are zeros.
    [[nodiscard]] virtual std::uint64_t mapped_end() const = 0;
    /// The guest's bytes from a host cluster. As ImageFile::read.
    virtual Task<Status> read_data(Queue& queue, std::uint64_t host_offset, const lunkit_data& data,
                                   std::uint64_t data_offset, std::uint64_t length) = 0;

    [[nodiscard]] bool backing_covers(std::uint64_t offset) const {
        return backing_ != nullptr && offset < backing_->size();
    }

    ImageFile file_;
    std::unique_ptr<Source> backing_;

  private:
    Task<Status> read_mapped(Queue& queue, Mapping mapping, std::uint64_t offset,
                             const lunkit_data& data, std::uint64_t data_offset);
    Task<Status> read_backing(Queue& queue, ByteRange range, const lunkit_data& data,
                              std::uint64_t data_offset);

    const std::uint64_t cluster_size_;
    CompressedReader compressed_;
};

}  // namespace lunkit::qcow
