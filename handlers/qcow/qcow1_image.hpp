// SPDX-License-Identifier: Apache-2.0
// Qcow1Image: an image of version 1 ("qcow"), read on one queue. It is never written: the format
// has no way to survive a crash, and qemu-img makes version 3 of it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "qcow/cluster_map.hpp"
#include "qcow/compressed_reader.hpp"
#include "qcow/disk.hpp"
#include "qcow/image_file.hpp"
#include "qcow/qcow1_header.hpp"
#include "qcow/slice_cache.hpp"
#include "qcow/source.hpp"

namespace lunkit::qcow {

class Qcow1Image final : public Disk {
  public:
    /// Worker thread; blocks. `backing`: or nullptr. `cache_bytes`: for L2 tables.
    static Result<std::unique_ptr<Qcow1Image>> open(ImageFile file, Qcow1Header header,
                                                    std::uint64_t cache_bytes,
                                                    std::unique_ptr<Source> backing);

    [[nodiscard]] std::uint64_t size() const override { return header_.size; }
    [[nodiscard]] const ImageFile& file() const override { return file_; }
    [[nodiscard]] std::uint64_t cluster_size() const override { return header_.cluster_size(); }
    [[nodiscard]] bool read_only() const override { return true; }
    [[nodiscard]] Status check_writable() const override { return refuse_writing(file_); }
    /// The error of who wants to write to such an image.
    [[nodiscard]] static std::unexpected<Error> refuse_writing(const ImageFile& file);

    Task<Status> read(Queue& queue, const IoRequest& io) override;
    Task<Result<std::uint32_t>> extents(Queue& queue, ByteRange range,
                                        std::span<Extent> extents) override;
    Task<Status> read_range(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                            std::uint64_t data_offset, std::uint64_t length) override;

  private:
    Qcow1Image(ImageFile file, Qcow1Header header, std::uint64_t cache_bytes,
               std::unique_ptr<Source> backing);
    Status load_l1();
    /// The state at `offset`, within the disk, for at most `length` bytes.
    Task<Result<Mapping>> map(Queue& queue, std::uint64_t offset, std::uint64_t length);
    Task<Status> read_mapped(Queue& queue, Mapping mapping, std::uint64_t offset,
                             const lunkit_data& data, std::uint64_t data_offset);
    [[nodiscard]] std::uint64_t within_cluster(std::uint64_t offset) const {
        return offset & (header_.cluster_size() - 1);
    }

    ImageFile file_;
    const Qcow1Header header_;
    std::unique_ptr<Source> backing_;
    std::vector<std::uint64_t> l1_;
    SliceCache slices_;
    CompressedReader compressed_;
};

}  // namespace lunkit::qcow
