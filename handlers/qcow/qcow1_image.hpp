// SPDX-License-Identifier: Apache-2.0
// Qcow1Image: an image of version 1 ("qcow"), read on one queue. It is never written: the format
// has no way to survive a crash, and qemu-img makes version 3 of it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "qcow/disk.hpp"
#include "qcow/image_file.hpp"
#include "qcow/mapping.hpp"
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
    [[nodiscard]] bool read_only() const override { return true; }
    [[nodiscard]] Status check_writable() const override { return refuse_writing(file_); }
    /// The error of who wants to write to such an image.
    [[nodiscard]] static std::unexpected<Error> refuse_writing(const ImageFile& file);

    Task<Status> read(Queue& queue, const IoRequest& io) override;

  private:
    Qcow1Image(ImageFile file, Qcow1Header header, std::uint64_t cache_bytes,
               std::unique_ptr<Source> backing);
    Status load_l1();
    Task<Result<Mapping>> map(Queue& queue, std::uint64_t offset, std::uint64_t length) override;
    [[nodiscard]] std::uint64_t mapped_end() const override { return size(); }
    Task<Status> read_data(Queue& queue, std::uint64_t host_offset, const lunkit_data& data,
                           std::uint64_t data_offset, std::uint64_t length) override {
        return file_.read(queue, host_offset, data, data_offset, length);
    }
    [[nodiscard]] std::uint64_t within_cluster(std::uint64_t offset) const {
        return offset & (header_.cluster_size() - 1);
    }

    const Qcow1Header header_;
    std::vector<std::uint64_t> l1_;
    SliceCache slices_;
};

}  // namespace lunkit::qcow
