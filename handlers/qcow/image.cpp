// SPDX-License-Identifier: Apache-2.0
#include "qcow/image.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/big_endian.hpp"
#include "qcow/bitmap_directory.hpp"
#include "qcow/snapshot_table.hpp"

namespace lunkit::qcow {

namespace {

/// A mistake in the tables at open is the image's; the message says which image.
Status named(const ImageFile& file, Status status) {
    if (!status && !status.error().what.starts_with(file.path())) {
        status.error().what = file.path() + ": " + status.error().what;
    }
    return status;
}

}  // namespace

Image::Image(ImageFile file, Header header, Options options, Parts parts)
    : Disk(std::move(file), header.compression_type, header.cluster_size(),
           std::move(parts.backing)),
      data_file_(std::move(parts.data_file)),
      header_(std::move(header)),
      geometry_(header_),
      options_(std::move(options)),
      data_(data_file(), header_.encryption_header.has_value(), std::move(parts.cipher)),
      size_(header_.size),
      metadata_(file_, geometry_, options_.cache_bytes),
      commit_(file_, data_file_ ? &*data_file_ : nullptr, metadata_) {}

Result<std::unique_ptr<Image>> Image::open(ImageFile file, Header header, Options options,
                                           Parts parts) {
    std::unique_ptr<Image> image(
        new Image(std::move(file), std::move(header), std::move(options), std::move(parts)));
    if (!image->read_only()) {
        CHECK(image->check_writable());
    }
    CHECK(named(image->file_, image->load()));
    return image;
}

Status Image::check_writable() const {
    if (header_.has(kCorrupt)) {
        return failure(EROFS, file_.path() +
                                  " is marked as corrupt: repair it with 'qemu-img check -r all', "
                                  "or serve it with readonly=on");
    }
    return {};
}

Status Image::load() {
    CHECK(load_snapshots());
    if (options_.snapshot.empty()) {
        CHECK(metadata_.map.open(header_.l1_table_offset, header_.l1_size));
    }
    if (options_.read_only && !options_.counts) {
        return {};
    }
    if (header_.bitmaps && (header_.autoclear_features & kBitmapsConsistent) != 0) {
        const ByteRange directory = header_.bitmaps->directory;
        (void)claim(directory.offset, directory.length);  // an overlap shows when it is used
    }
    if (header_.encryption_header &&
        !claim(header_.encryption_header->offset, header_.encryption_header->length)) {
        return corruption("the encryption header overlaps another table");
    }
    CHECK(metadata_.refcounts.open(header_.refcount_table_offset, header_.refcount_table_clusters));
    return metadata_.map.claim(metadata_.clusters);
}

bool Image::claim(std::uint64_t offset, std::uint64_t length) {
    for (std::uint64_t at = 0; at < length; at += geometry_.cluster_size()) {
        if (!metadata_.clusters.insert(geometry_.cluster_of(offset + at))) {
            return false;
        }
    }
    return true;
}

Status Image::load_snapshots() {
    if (header_.nb_snapshots == 0) {
        return options_.snapshot.empty()
                   ? Status{}
                   : failure(ENOENT, fmt::format("there is no snapshot '{}'", options_.snapshot));
    }
    TRY(SnapshotTable table, read_snapshots(file_, header_));
    if (!options_.snapshot.empty()) {
        const Snapshot* const chosen = find_snapshot(table, options_.snapshot);
        if (chosen == nullptr) {
            return failure(ENOENT, fmt::format("there is no snapshot '{}'", options_.snapshot));
        }
        size_ = chosen->disk_size;
        return metadata_.map.open(chosen->l1_table_offset, chosen->l1_size);
    }
    constexpr std::uint64_t kMostClaimed = 4ULL << 20U;  // a sparse file could name any number
    std::uint64_t l1_clusters = 0;
    bool apart = claim(header_.snapshots_offset, table.bytes);
    for (const Snapshot& snapshot : table.snapshots) {
        l1_clusters +=
            geometry_.cluster_of(geometry_.round_up(snapshot.l1_size * std::uint64_t{8}));
        if (l1_clusters > kMostClaimed) {
            return failure(ENOTSUP, "the snapshots' L1 tables are too large to be guarded");
        }
        apart = apart && claim(snapshot.l1_table_offset, snapshot.l1_size * std::uint64_t{8});
    }
    snapshots_ = std::move(table);
    return apart ? Status{} : corruption("the snapshots' tables overlap");
}

Image::~Image() {
    background_.stop();
    if (options_.read_only || corrupt_) {
        return;
    }
    if (metadata_.map.dirty() || metadata_.refcounts.dirty() || metadata_.refcounts.has_stock() ||
        !commit_.is_clean()) {
        if (const Status status = commit_.run_blocking(); !status) {
            const std::string text = fmt::format(
                "{}: what was written since the last flush is lost: {}", file_.path(),
                status.error().what.empty() ? fmt::format("error {}", status.error().code)
                                            : status.error().what);
            file_.host().log(nullptr, LUNKIT_LOG_ERROR, text.c_str());
        }
    }
}

/// Refcounts that may be wrong are counted anew, and nothing relies on them until then.
/// Autoclear features describe data that we are about to change without keeping them up to date. So
/// their bits go first, durably (rule R14). Bitmaps have a gentler way: each is marked as in use.
Task<Status> Image::prepare(Queue& queue) {
    if (corrupt_) {
        co_return failure(EIO, file_.path() + " is corrupt, refusing to write");
    }
    if (unrepairable_) {
        co_return failure(EROFS);
    }
    if (prepared_) {
        co_return Status{};
    }
    AsyncMutex::Guard guard(prepare_mutex_);
    co_await guard.acquire(queue);
    if (prepared_) {
        co_return Status{};
    }
    if (header_.has(kDirty) && repair_ == nullptr) {
        CO_CHECK(begin_repair());
    }
    CO_CHECK(co_await clear_autoclear_features(queue));
    if (header_.has(kDirty)) {  // last: nothing above may fail while it runs
        repair_behind(queue.handle());
    }
    prepared_ = true;
    co_return Status{};
}

Task<Status> Image::clear_autoclear_features(Queue& queue) {
    if (geometry_.version < 3) {
        co_return Status{};
    }
    if (header_.autoclear_features == 0) {
        co_return co_await file_.flush(queue);  // who cleared them may have died before its own
    }
    std::uint64_t kept = header_.raw_data_file() ? std::uint64_t{kRawExternalData} : 0;
    if (header_.bitmaps && (header_.autoclear_features & kBitmapsConsistent) != 0) {
        CO_TRY(const bool marked, co_await mark_bitmaps(queue));
        kept |= marked ? std::uint64_t{kBitmapsConsistent} : 0;
    }
    if (header_.autoclear_features != kept) {
        std::vector<std::byte> bytes(8);
        store_be(bytes.data(), kept);
        CO_CHECK(co_await file_.write_bytes(queue, field::kAutoclearFeatures, bytes));
        header_.autoclear_features = kept;
    }
    co_return co_await file_.flush(queue);
}

/// False: the directory is damaged, and has been left as it is.
Task<Result<bool>> Image::mark_bitmaps(Queue& queue) {
    const ByteRange directory = header_.bitmaps->directory;
    CO_TRY(const HostBuffer buffer, HostBuffer::allocate(file_.host(), directory.length));
    CO_CHECK(co_await file_.read_exact(queue, directory.offset, buffer.span()));
    if (!mark_bitmaps_in_use(buffer.span(), header_.bitmaps->count)) {
        co_return false;
    }
    CO_CHECK(co_await file_.write_bytes(queue, directory.offset, buffer.span()));
    co_return true;
}

Task<Status> Image::settle(Queue& queue, Status status) {
    const bool damaged = !status && status.error().error_class == ErrorClass::kInternal;
    if (!damaged || corrupt_ || options_.read_only) {
        co_return status;
    }
    corrupt_ = true;
    background_.cancel();
    const std::string text =
        file_.path() + ": " + status.error().what + "; marked as corrupt, refusing writes";
    file_.host().log(nullptr, LUNKIT_LOG_ERROR, text.c_str());
    if (geometry_.version >= 3) {
        header_.incompatible_features |= kCorrupt;
        // If the mark cannot be written, writes are refused all the same while we run.
        (void)co_await write_features(queue);
    }
    co_return status;
}

/// Durably. Two at once would leave either's.
Task<Status> Image::write_features(Queue& queue, std::uint64_t cleared) {
    AsyncMutex::Guard guard(features_mutex_);
    co_await guard.acquire(queue);
    std::vector<std::byte> bytes(8);
    store_be(bytes.data(), header_.incompatible_features & ~cleared);
    CO_CHECK(co_await file_.write_bytes(queue, field::kIncompatibleFeatures, bytes));
    CO_CHECK(co_await file_.flush(queue));
    header_.incompatible_features &= ~cleared;
    co_return Status{};
}

ByteRange Image::lock_range(ByteRange range) const {
    const std::uint64_t begin = range.offset - geometry_.within_cluster(range.offset);
    return {begin, geometry_.round_up(range.end()) - begin};
}

/// A change that lives in this process alone would be lost with it, and nobody would tell the
/// initiator, who saw no power fail. So it is in the file before it is acknowledged, if only in the
/// page cache, unless the configuration says otherwise.
Task<Status> Image::finish_change(Queue& queue, bool durable, bool uncommitted) {
    if (durable) {
        co_return co_await commit_.run(queue, Commit::Until::kDurable);
    }
    if ((uncommitted && !options_.lazy) || commit_.is_due()) {
        co_return co_await commit_.run(queue, Commit::Until::kLinked);
    }
    co_return Status{};
}

Task<Status> Image::read(Queue& queue, const IoRequest& io) {
    RangeLock::Guard guard(ranges_, lock_range(io.range()), RangeLock::Mode::kShared);
    co_await guard.acquire(queue);
    Status status = co_await read_range(queue, io.offset, *io.data, io.data_offset, io.length);
    co_return co_await settle(queue, std::move(status));
}

Task<Status> Image::flush(Queue& queue) {
    if (options_.read_only) {
        co_return Status{};
    }
    if (corrupt_) {
        // The data is the file's business; the metadata is not written any more.
        co_return failure(EIO, file_.path() + " is corrupt, refusing to write");
    }
    Status status = co_await commit_.run(queue, Commit::Until::kDurable);
    co_return co_await settle(queue, std::move(status));
}

}  // namespace lunkit::qcow
