// SPDX-License-Identifier: Apache-2.0
#include "rig/image_kind.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "rig/sector_model.hpp"

namespace lunkit::qcow_rig {

namespace {

constexpr std::uint64_t kMiB = 1ULL << 20;

constexpr ImageKind kKinds[] = {
    {.name = "v3", .options = "compat=v3", .toy = true},
    {.name = "v2", .options = "compat=0.10"},
    {.name = "v3-empty", .options = "compat=v3", .empty = true, .toy = true},
    {.name = "c512", .options = "cluster_size=512", .size = kMiB},
    {.name = "c512-refcount64",
     .options = "cluster_size=512,refcount_bits=64",
     .size = 2 * kMiB,
     .empty = true},
    {.name = "c4k", .options = "cluster_size=4k", .size = 2 * kMiB, .toy = true},
    {.name = "c2m", .options = "cluster_size=2M", .size = 16 * kMiB},
    {.name = "refcount1", .options = "cluster_size=4k,refcount_bits=1"},
    {.name = "refcount2", .options = "cluster_size=4k,refcount_bits=2"},
    {.name = "refcount8", .options = "refcount_bits=8"},
    {.name = "refcount32", .options = "cluster_size=16k,refcount_bits=32"},
    {.name = "lazy", .options = "lazy_refcounts=on"},
    {.name = "lazy-c4k", .options = "cluster_size=4k,lazy_refcounts=on", .size = 2 * kMiB},
    {.name = "lazy-dirty", .options = "lazy_refcounts=on", .dirty = true},
    {.name = "extl2", .options = "cluster_size=64k,extended_l2=on"},
    {.name = "extl2-16k", .options = "cluster_size=16k,extended_l2=on"},
    {.name = "extl2-backing",
     .options = "cluster_size=64k,extended_l2=on",
     .backing = Backing::kQcow2},
    {.name = "backing-raw", .options = "compat=v3", .backing = Backing::kRaw},
    {.name = "backing-short",
     .options = "compat=v3",
     .backing = Backing::kRaw,
     .backing_size = 2 * kMiB + 3 * 512},
    {.name = "backing-long",
     .options = "cluster_size=16k",
     .backing = Backing::kQcow2,
     .backing_size = 6 * kMiB},
    {.name = "backing-chain", .options = "compat=v3", .backing = Backing::kChain},
    {.name = "backing-v2", .options = "compat=0.10", .backing = Backing::kQcow2},
    {.name = "zlib", .options = "compat=v3", .compressed = true},
    {.name = "zstd", .options = "compression_type=zstd", .compressed = true},
    {.name = "zlib-c4k", .options = "cluster_size=4k", .size = 2 * kMiB, .compressed = true},
    {.name = "snapshot", .options = "compat=v3", .snapshot = true, .toy = true},
    {.name = "snapshot-c4k",
     .options = "cluster_size=4k",
     .size = 2 * kMiB,
     .snapshot = true,
     .toy = true},
    {.name = "snapshot-zlib", .options = "compat=v3", .compressed = true, .snapshot = true},
    {.name = "snapshot-extl2", .options = "extended_l2=on", .snapshot = true},
    {.name = "snapshot-lazy", .options = "lazy_refcounts=on", .snapshot = true},
    {.name = "zeros", .options = "compat=v3", .zero_clusters = true},
    {.name = "zeros-backing",
     .options = "compat=v3",
     .backing = Backing::kRaw,
     .zero_clusters = true},
    {.name = "preallocated", .options = "preallocation=metadata"},
    {.name = "bitmap", .options = "compat=v3", .bitmap = true},
    {.name = "data-file", .options = "data_file_raw=off", .data_file = true},
    {.name = "data-file-raw",
     .options = "data_file_raw=on",
     .data_file = true,
     .data_file_raw = true},
    {.name = "data-file-extl2", .options = "data_file_raw=off,extended_l2=on", .data_file = true},
    {.name = "data-file-backing",
     .options = "data_file_raw=off",
     .backing = Backing::kRaw,
     .data_file = true},
};

/// Runs of written sectors of all lengths, aligned to nothing.
bool is_written(std::uint64_t sector) {
    return sector / 37 % 3 != 0 && sector / 640 % 4 != 3;
}

Bytes raw_content(std::uint64_t size) {
    Bytes content(size);
    for (std::uint64_t s = 0; s < size / kSector; ++s) {
        if (is_written(s)) {
            stamp_sector(&content[s * kSector], s, kInitial);
        }
    }
    return content;
}

}  // namespace

std::span<const ImageKind> image_kinds() {
    return kKinds;
}

const ImageKind* find_kind(std::string_view name) {
    const auto* const found =
        std::ranges::find_if(kKinds, [name](const ImageKind& kind) { return name == kind.name; });
    return found == std::end(kKinds) ? nullptr : found;
}

std::string BuiltImage::config() const {
    return kind_.data_file ? path() + ";data_file=confined" : path();
}

std::string BuiltImage::options() const {
    const std::string extra = kind_.data_file ? ",data_file=" + data_path() : "";
    return kind_.options + extra;
}

Result<std::unique_ptr<BuiltImage>> BuiltImage::build(const ImageKind& kind) {
    std::unique_ptr<BuiltImage> image(new BuiltImage(kind));
    CHECK(image->make_content());
    CHECK(image->make_backing());
    CHECK(image->make_image());
    CHECK(image->embellish());
    return image;
}

Status BuiltImage::make_content() {
    const std::uint64_t size = kind_.backing_size != 0 ? kind_.backing_size : kind_.size;
    initial_.resize(kind_.size / kSector);
    for (std::uint64_t s = 0; s < initial_.size(); ++s) {
        initial_[s] = !kind_.empty && s < size / kSector && is_written(s);
    }
    return write_file(folder_ / "base.raw", raw_content(size));
}

Status BuiltImage::make_backing() {
    if (kind_.backing == Backing::kNone) {
        return {};
    }
    TRY(Bytes content, read_file(folder_ / "base.raw"));
    backing_ = std::make_unique<RawSource>(std::move(content));
    if (kind_.backing != Backing::kRaw) {
        CHECK(must_run({"qemu-img", "convert", "-f", "raw", "-O", "qcow2", folder_ / "base.raw",
                        folder_ / "base.qcow2"}));
    }
    if (kind_.backing == Backing::kChain) {
        CHECK(must_run({"qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F",
                        "qcow2", folder_ / "middle.qcow2"}));
    }
    return {};
}

Status BuiltImage::make_image() {
    const std::string size = std::to_string(kind_.size);
    if (kind_.empty) {
        return must_run({"qemu-img", "create", "-q", "-f", "qcow2", "-o", options(), path(), size});
    }
    if (kind_.backing == Backing::kNone) {
        std::vector<std::string> command{"qemu-img", "convert", "-f", "raw",
                                         "-O",       "qcow2",   "-o", options()};
        if (kind_.compressed) {
            command.emplace_back("-c");
        }
        command.push_back(folder_ / "base.raw");
        command.push_back(path());
        return must_run(command);
    }
    const bool raw = kind_.backing == Backing::kRaw;
    return must_run({"qemu-img", "create", "-q", "-f", "qcow2", "-o", options(), "-b",
                     raw                                ? "base.raw"
                     : kind_.backing == Backing::kChain ? "middle.qcow2"
                                                        : "base.qcow2",
                     "-F", raw ? "raw" : "qcow2", path(), size});
}

Status BuiltImage::embellish() {
    const auto zero = [this](std::uint64_t begin, std::uint64_t end) {
        for (std::uint64_t s = begin / kSector; s < end / kSector; ++s) {
            initial_[s] = false;
        }
    };
    if (kind_.zero_clusters) {
        CHECK(must_run({"qemu-io", "-t", "writeback", "-c", "write -z 256k 384k", "-c",
                        "write -zu 1M 320k", path()}));
        zero(256 * 1024, 640 * 1024);
        zero(kMiB, kMiB + 320 * 1024);
    }
    if (kind_.snapshot) {
        CHECK(must_run({"qemu-img", "snapshot", "-c", "first", path()}));
    }
    if (kind_.bitmap) {
        CHECK(must_run({"qemu-img", "bitmap", "--add", path(), "backup"}));
    }
    if (kind_.dirty) {
        // Ends by SIGABRT: a cluster is allocated whose refcount never reaches the disk.
        (void)run_program({"qemu-io", "-t", "writeback", "-c", "write -P 0 960k 64k", "-c", "flush",
                           "-c", "abort", path()});
    }
    return {};
}

}  // namespace lunkit::qcow_rig
