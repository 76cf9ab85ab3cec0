// SPDX-License-Identifier: Apache-2.0
#include "zone_table.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

#include "lunkit/host_buffer.hpp"
#include "lunkit/try.hpp"

namespace lunkit::zbc {
namespace {

Result<HostBuffer> allocate(const lunkit_host& host, std::size_t size) {
    Result<HostBuffer> buffer = HostBuffer::allocate(host, size);
    if (!buffer) {
        return failure(ENOMEM, "no memory for the zones");
    }
    return buffer;
}

TableBlock& block_of(const HostBuffer& page) {
    return *reinterpret_cast<TableBlock*>(page.data());
}

std::unexpected<Error> system_failure(const char* deed) {
    const int error = errno;
    return failure(error, std::string("the zones cannot be ") + deed + ": " +
                              std::generic_category().message(error));
}

Status read_at(int fd, std::span<std::byte> bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t count = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return system_failure("read");
        }
        if (count == 0) {
            return failure(EINVAL, "the file ends before its zones");
        }
        bytes = bytes.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

Status write_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return system_failure("stored");
        }
        bytes = bytes.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

Status sync(int fd) {
    return ::fdatasync(fd) == 0 ? Status() : system_failure("made durable");
}

/// Empty when it cannot be read: then every boot is another one.
std::string boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string boot;
    std::getline(file, boot);
    return boot;
}

std::size_t image_size(const Geometry& geometry) {
    return geometry.table_blocks() * kTableBlock;
}

RecordBytes record_bytes(std::span<std::byte> image, std::uint64_t zone) {
    return image.subspan(zone * kRecordSize).first<kRecordSize>();
}

}  // namespace

Result<Geometry> ZoneTable::read_header(const lunkit_host& host, int fd, const std::string& path) {
    TRY(const HostBuffer page, allocate(host, kTableBlock));
    if (const Status read = read_at(fd, page.span(), kHeaderOffset); !read) {
        return failure(read.error().code, path + ": " + read.error().what);
    }
    return decode_header(block_of(page), path);
}

// The header comes last: a file with one is whole.
Status ZoneTable::format(const lunkit_host& host, int fd, const Geometry& geometry) {
    TRY(const HostBuffer pages, allocate(host, image_size(geometry)));
    std::ranges::fill(pages.span(), std::byte{0});
    for (std::uint64_t zone = 0; zone < geometry.zones(); ++zone) {
        encode_record({}, record_bytes(pages.span(), zone));
    }
    CHECK(write_at(fd, pages.span(), kTableOffset));
    CHECK(sync(fd));
    encode_header(geometry, block_of(pages));
    CHECK(write_at(fd, block_of(pages), kHeaderOffset));
    return sync(fd);
}

ZoneTable::ZoneTable(const lunkit_host& host, File& file, const Geometry& geometry)
    : host_(host),
      file_(file),
      geometry_(geometry),
      records_(geometry.zones()),
      image_(image_size(geometry)),
      blocks_(geometry.table_blocks()),
      is_marked_(geometry.zones()),
      flushed_(geometry.zones()) {
    marked_.reserve(records_.size());
    now_.reserve(records_.size());
}

Status ZoneTable::load(const Loading& how, const std::string& path) {
    TRY(const HostBuffer pages, allocate(host_, image_.size()));
    TRY(const HostBuffer page, allocate(host_, kTableBlock));
    CHECK(read_at(how.fd, page.span(), kBootOffset));
    const std::string boot = boot_id();
    const bool same_boot = !boot.empty() && decode_boot(block_of(page)) == boot;
    CHECK(read_at(how.fd, pages.span(), kTableOffset));
    CHECK(adopt(pages.span(), same_boot || how.take_over, how, path));
    if (how.read_only) {
        return {};
    }
    CHECK(write_changed(how.fd));
    if (!same_boot) {  // what `written` says counts from here on
        CHECK(sync(how.fd));
        encode_boot(boot, block_of(page));
        CHECK(write_at(how.fd, block_of(page), kBootOffset));
        CHECK(sync(how.fd));
    }
    return {};
}

Status ZoneTable::adopt(std::span<std::byte> image, bool same_boot, const Loading& how,
                        const std::string& path) {
    std::ranges::copy(image, image_.begin());
    for (std::uint64_t zone = 0; zone < records_.size(); ++zone) {
        const auto record = decode_record(record_bytes(image_, zone), geometry_.zone(zone).length,
                                          geometry_.block_size);
        if (!record) {
            return failure(EINVAL,
                           path + ": the record of zone " + std::to_string(zone) + " is damaged");
        }
        Record& mine = records_[zone];
        mine = *record;
        if (!same_boot) {
            mine.written = mine.durable;
        }
        if (!how.take_over) {
            mine.opened = Opened::kNot;
        }
        if (mine.written != mine.durable) {
            mark(zone);
        }
        if (mine != *record) {
            encode(zone);
        }
    }
    return {};
}

void ZoneTable::encode(std::uint64_t zone) {
    encode_record(records_[zone], record_bytes(image_, zone));
    ++blocks_[zone / kRecordsPerBlock].changes;
}

void ZoneTable::mark(std::uint64_t zone) {
    if (!is_marked_[zone]) {
        is_marked_[zone] = true;
        marked_.push_back(static_cast<std::uint32_t>(zone));
    }
}

void ZoneTable::set(std::uint64_t zone, std::uint64_t written, Opened opened) {
    records_[zone].written = written;
    records_[zone].opened = opened;
    flushed_[zone] = std::min(flushed_[zone], written);
    if (written != records_[zone].durable) {
        mark(zone);
    }
    encode(zone);
}

// The block goes into the file as a whole, from a copy: zones change while it is written. Whoever
// waits meanwhile may find that the one before has stored its record as well.
Task<Status> ZoneTable::store(Queue& queue, std::uint64_t zone) {
    const std::uint64_t index = zone / kRecordsPerBlock;
    Block& block = blocks_[index];
    const std::uint64_t wanted = block.changes;
    AsyncMutex::Guard alone(storing_);
    (void)co_await alone.acquire(queue);  // always 0
    if (block.stored >= wanted) {
        co_return Status{};
    }
    CO_TRY(const HostBuffer page, allocate(host_, kTableBlock));
    const std::uint64_t offset = index * kTableBlock;
    const std::uint64_t changes = block.changes;
    std::ranges::copy(std::span(image_).subspan(offset, kTableBlock), page.span().begin());
    const SingleData data(page.span());
    const Outcome outcome =
        co_await file_.write(queue, kTableOffset + offset, data, 0, kTableBlock, 0);
    CO_CHECK(to_status(outcome));
    block.stored = changes;
    co_return Status{};
}

// Callers that come while one runs share the next one.
Task<Status> ZoneTable::settle(Queue& queue) {
    const std::uint64_t mine = ++asked_;
    AsyncMutex::Guard alone(settling_);
    (void)co_await alone.acquire(queue);  // always 0
    if (settled_ >= mine) {
        co_return Status{};
    }
    const std::uint64_t answers = asked_;
    Status status = co_await settle_marked(queue);
    if (status) {
        settled_ = answers;
    } else {
        for (const std::uint32_t zone : now_) {
            mark(zone);
        }
    }
    co_return status;
}

Task<Status> ZoneTable::settle_marked(Queue& queue) {
    now_.clear();
    for (const std::uint32_t zone : marked_) {
        now_.push_back(zone);
        flushed_[zone] = records_[zone].written;
        is_marked_[zone] = false;
    }
    marked_.clear();
    CO_CHECK(co_await flush(queue));
    if (now_.empty()) {
        co_return Status{};
    }
    for (const std::uint32_t zone : now_) {
        records_[zone].durable = flushed_[zone];
        encode(zone);
        if (records_[zone].written != flushed_[zone]) {  // meanwhile
            mark(zone);
        }
    }
    for (const std::uint32_t zone : now_) {  // of each block, the first one stores them all
        CO_CHECK(co_await store(queue, zone));
    }
    co_return co_await flush(queue);
}

Task<Status> ZoneTable::flush(Queue& queue) {
    const Outcome outcome = co_await file_.flush(queue);
    failed_ = failed_ || !outcome.ok();
    co_return to_status(outcome);
}

Status ZoneTable::write_changed(int fd) {
    TRY(const HostBuffer page, allocate(host_, kTableBlock));
    for (std::uint64_t index = 0; index < blocks_.size(); ++index) {
        Block& block = blocks_[index];
        if (block.changes == block.stored) {
            continue;
        }
        const std::uint64_t offset = index * kTableBlock;
        std::ranges::copy(std::span(image_).subspan(offset, kTableBlock), page.span().begin());
        CHECK(write_at(fd, page.span(), kTableOffset + offset));
        block.stored = block.changes;
    }
    return {};
}

// After an error the file says what is durable for certain.
Status ZoneTable::close(int fd) {
    if (failed_) {
        return {};
    }
    CHECK(sync(fd));
    for (const std::uint32_t zone : marked_) {
        records_[zone].durable = records_[zone].written;
        encode(zone);
    }
    CHECK(write_changed(fd));
    return sync(fd);
}

}  // namespace lunkit::zbc
