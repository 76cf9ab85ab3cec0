// SPDX-License-Identifier: Apache-2.0
// The order in which a qcow2 may be changed, as this toy does it (correctly):
//
//   allocate   refcount := 1, flush                            R1: no pointer to a free cluster
//   new L2     content, flush, L1 entry, flush                 R3: no pointer to a torn table
//   copy       whole new cluster, flush, L2 entry              R2: what was not written survives
//   free       pointer away, flush, refcount - 1               R4: no free cluster with a pointer,
//                                                              R5: none is used again too early
//
// All under one lock, in place writes included, so that nothing is freed under a write.
#include "toy/toy_writer.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lunkit/handler.hpp"
#include "lunkit/range_lock.hpp"
#include "lunkit/try.hpp"
#include "rig/big_endian.hpp"
#include "rig/layout.hpp"

namespace lunkit::qcow_rig {

namespace {

Violation the_violation = Violation::kNothing;

class Toy final : public BlockDevice {
  public:
    static Result<std::unique_ptr<Toy>> open(const OpenRequest& request) {
        std::unique_ptr<Toy> toy(new Toy(request.host));
        TRY(toy->file_, File::open(request.host, std::string(request.config), 0));
        CHECK(toy->load());
        return toy;
    }

    [[nodiscard]] DeviceInfo info() const override {
        DeviceInfo info;
        info.size = layout_.size;
        info.can_discard = layout_.version == 3;
        return info;
    }

    Task<Status> read(Queue& queue, const IoRequest& io) override {
        AsyncMutex::Guard guard(mutex_);
        co_await guard.acquire(queue);
        for (std::uint64_t done = 0; done < io.length;) {
            const IoRequest part = cluster_part(io, done);
            CO_TRY(const std::uint64_t entry, co_await l2_entry(queue, part.offset));
            const std::uint64_t host = host_offset(entry);
            if (host == 0) {
                const Bytes zeros(part.length);
                (void)host_.copy_to(io.data, part.data_offset, zeros.data(), part.length);
            } else {
                CO_CHECK(to_status(co_await file_.read(queue, host + inside(part.offset), *io.data,
                                                       part.data_offset, part.length)));
            }
            done += part.length;
        }
        co_return Status{};
    }

    Task<Status> write(Queue& queue, const IoRequest& io) override {
        for (std::uint64_t done = 0; done < io.length;) {
            const IoRequest part = cluster_part(io, done);
            CO_CHECK(co_await write_part(queue, part));
            done += part.length;
        }
        if (io.fua() && the_violation != Violation::kFuaDoesNothing) {
            co_return co_await flush_file(queue);
        }
        co_return Status{};
    }

    Task<Status> flush(Queue& queue) override {
        AsyncMutex::Guard guard(mutex_);
        co_await guard.acquire(queue);
        if (the_violation == Violation::kFlushDoesNothing) {
            co_return Status{};
        }
        CO_CHECK(co_await flush_file(queue));
        co_return co_await write_late_refcounts(queue);
    }

    Task<Status> discard(Queue& queue, const IoRequest& io) override {
        AsyncMutex::Guard guard(mutex_);
        co_await guard.acquire(queue);
        for (std::uint64_t done = 0; done < io.length;) {
            const IoRequest part = cluster_part(io, done);
            if (part.length == layout_.cluster()) {
                CO_CHECK(co_await discard_cluster(queue, part.offset));
            }
            done += part.length;
        }
        if (io.fua()) {
            co_return co_await flush_file(queue);
        }
        co_return Status{};
    }

  private:
    explicit Toy(const lunkit_host& host) : host_(host) {}

    // Geometry.

    [[nodiscard]] std::uint64_t inside(std::uint64_t guest) const {
        return guest & (layout_.cluster() - 1);
    }
    [[nodiscard]] IoRequest cluster_part(const IoRequest& io, std::uint64_t done) const {
        const std::uint64_t room = layout_.cluster() - inside(io.offset + done);
        return io.part(done, std::min(room, io.length - done));
    }
    static std::uint64_t host_offset(std::uint64_t entry) {
        return (entry & kZeroFlag) != 0 ? 0 : entry & kOffsetMask;
    }

    // Loading; open() may block.

    Status load() {
        TRY(const lunkit_file_info info, file_.info());
        Bytes head(65536);
        if (::pread(info.fd, head.data(), head.size(), 0) <= 0) {
            return failure(EIO, "no header");
        }
        TRY(layout_, read_layout(head));
        const std::uint64_t whole =
            (info.size + layout_.cluster() - 1) / layout_.cluster() * layout_.cluster();
        CHECK(file_.resize(whole));
        Bytes table(layout_.refcount_table.length);
        (void)::pread(info.fd, table.data(), table.size(),
                      static_cast<off_t>(layout_.refcount_table.offset));
        for (std::uint64_t i = 0; i < table.size() / 8; ++i) {
            const std::uint64_t block = entry_at(table, i * 8);
            if (block == 0) {
                break;
            }
            Bytes counters(layout_.cluster());
            (void)::pread(info.fd, counters.data(), counters.size(), static_cast<off_t>(block));
            blocks_.push_back(block);
            for (std::size_t at = 0; at < counters.size(); at += 2) {
                counts_.push_back(load_be<std::uint16_t>(&counters[at]));
            }
        }
        on_disk_ = counts_;
        l1_.resize(layout_.l1.length);
        (void)::pread(info.fd, l1_.data(), l1_.size(), static_cast<off_t>(layout_.l1.offset));
        return {};
    }

    // Steps.

    Task<Status> flush_file(Queue& queue) {
        const Outcome outcome = co_await file_.flush(queue);
        co_return to_status(outcome);
    }
    Task<Status> put(Queue& queue, std::uint64_t offset, std::span<std::byte> bytes) {
        const SingleData data(bytes);
        const Outcome outcome = co_await file_.write(queue, offset, data, 0, bytes.size(), 0);
        co_return to_status(outcome);
    }
    Task<Status> put_entry(Queue& queue, std::uint64_t offset, std::uint64_t value) {
        Bytes bytes(8);
        store_be<std::uint64_t>(bytes.data(), value);
        co_return co_await put(queue, offset, bytes);
    }
    Task<Result<Bytes>> get(Queue& queue, std::uint64_t offset, std::uint64_t length) {
        Bytes bytes(length);
        const SingleData data{std::span(bytes)};
        const Outcome outcome = co_await file_.read(queue, offset, data, 0, length);
        CO_CHECK(to_status(outcome));
        co_return bytes;
    }

    /// The counter of `cluster`, as it now is in memory, to the file.
    Task<Status> put_refcount(Queue& queue, std::uint64_t cluster) {
        const std::uint64_t per_block = layout_.cluster() / 2;
        on_disk_[cluster] = counts_[cluster];
        Bytes bytes(2);
        store_be<std::uint16_t>(bytes.data(), counts_[cluster]);
        co_return co_await put(queue, blocks_[cluster / per_block] + cluster % per_block * 2,
                               bytes);
    }
    Task<Status> settle_refcount(Queue& queue, std::uint64_t host) {
        if (on_disk_[host >> layout_.cluster_bits] == 1) {
            co_return Status{};
        }
        CO_CHECK(co_await put_refcount(queue, host >> layout_.cluster_bits));
        if (the_violation == Violation::kPointerBeforeRefcount) {
            co_return Status{};
        }
        co_return co_await flush_file(queue);
    }
    [[nodiscard]] Result<std::uint64_t> take_cluster() {
        const auto free = std::ranges::find(counts_, 0);
        if (free == counts_.end()) {
            return failure(ENOSPC);
        }
        *free = 1;
        std::erase(late_, free - counts_.begin());
        return static_cast<std::uint64_t>(free - counts_.begin()) << layout_.cluster_bits;
    }
    /// A cluster that only the caller knows, counted on the disk.
    Task<Result<std::uint64_t>> allocate(Queue& queue) {
        CO_TRY(const std::uint64_t host, take_cluster());
        if (the_violation != Violation::kPointerBeforeRefcount) {
            CO_CHECK(co_await settle_refcount(queue, host));
        }
        co_return host;
    }
    /// The pointer to `host` has been overwritten just now.
    Task<Status> release(Queue& queue, std::uint64_t host) {
        const std::uint64_t cluster = host >> layout_.cluster_bits;
        if (the_violation == Violation::kReuseBeforeUnlink) {
            --counts_[cluster];
            late_.push_back(static_cast<std::ptrdiff_t>(cluster));
            co_return Status{};
        }
        if (the_violation != Violation::kRefcountBeforeUnlink) {
            CO_CHECK(co_await flush_file(queue));
        }
        --counts_[cluster];
        co_return co_await put_refcount(queue, cluster);
    }
    Task<Status> write_late_refcounts(Queue& queue) {
        std::vector<std::ptrdiff_t> late;
        late.swap(late_);
        for (const std::ptrdiff_t cluster : late) {
            CO_CHECK(co_await put_refcount(queue, static_cast<std::uint64_t>(cluster)));
        }
        co_return Status{};
    }

    // Tables.

    [[nodiscard]] std::uint64_t l1_index(std::uint64_t guest) const {
        return guest / layout_.l2_reach();
    }
    [[nodiscard]] std::uint64_t l2_place(std::uint64_t guest) const {
        return (entry_at(l1_, l1_index(guest) * 8) & kOffsetMask) +
               guest / layout_.cluster() % layout_.l2_entries() * 8;
    }
    Task<Result<std::uint64_t>> l2_entry(Queue& queue, std::uint64_t guest) {
        if (entry_at(l1_, l1_index(guest) * 8) == 0) {
            co_return std::uint64_t{0};
        }
        CO_TRY(const Bytes entry, co_await get(queue, l2_place(guest), 8));
        co_return load_be<std::uint64_t>(entry.data());
    }
    /// Makes the L2 table of `guest` one that may be changed.
    Task<Status> own_l2(Queue& queue, std::uint64_t guest) {
        const std::uint64_t old = entry_at(l1_, l1_index(guest) * 8);
        if ((old & kCopied) != 0) {
            co_return Status{};
        }
        CO_TRY(const std::uint64_t table, co_await allocate(queue));
        Bytes content(layout_.cluster());
        if (old != 0) {
            CO_TRY(content, co_await get(queue, old & kOffsetMask, layout_.cluster()));
        }
        const bool early = the_violation == Violation::kL1BeforeL2;
        if (!early) {
            CO_CHECK(co_await put(queue, table, content));
            CO_CHECK(co_await flush_file(queue));
        }
        store_be<std::uint64_t>(&l1_[l1_index(guest) * 8], table | kCopied);
        CO_CHECK(
            co_await put_entry(queue, layout_.l1.offset + l1_index(guest) * 8, table | kCopied));
        if (early) {
            CO_CHECK(co_await put(queue, table, content));
        }
        CO_CHECK(co_await settle_refcount(queue, table));
        CO_CHECK(co_await flush_file(queue));
        if (old != 0) {
            CO_CHECK(co_await release(queue, old & kOffsetMask));
        }
        co_return Status{};
    }

    // Requests, a cluster at most.

    Task<Status> write_part(Queue& queue, IoRequest part) {
        std::uint64_t host = 0;
        {
            AsyncMutex::Guard guard(mutex_);
            co_await guard.acquire(queue);
            CO_CHECK(co_await own_l2(queue, part.offset));
            CO_TRY(const std::uint64_t entry, co_await l2_entry(queue, part.offset));
            if ((entry & kCopied) == 0 || host_offset(entry) == 0) {
                co_return co_await write_new_cluster(queue, part, entry);
            }
            host = host_offset(entry) + inside(part.offset);
            if (the_violation != Violation::kWriteRacesDiscard) {
                const Outcome outcome =
                    co_await file_.write(queue, host, *part.data, part.data_offset, part.length, 0);
                co_return to_status(outcome);
            }
        }
        const Outcome outcome =
            co_await file_.write(queue, host, *part.data, part.data_offset, part.length, 0);
        co_return to_status(outcome);
    }

    Task<Status> write_new_cluster(Queue& queue, IoRequest part, std::uint64_t old) {
        CO_TRY(const std::uint64_t host, co_await allocate(queue));
        Bytes content(layout_.cluster());
        if (host_offset(old) != 0 && the_violation != Violation::kNoCopyOnWrite) {
            CO_TRY(content, co_await get(queue, host_offset(old), layout_.cluster()));
        }
        (void)host_.copy_from(part.data, part.data_offset, &content[inside(part.offset)],
                              part.length);
        CO_CHECK(co_await put(queue, host, content));
        if (the_violation != Violation::kPointerBeforeCopy &&
            the_violation != Violation::kReuseBeforeUnlink &&
            the_violation != Violation::kPointerBeforeRefcount) {
            CO_CHECK(co_await flush_file(queue));
        }
        const std::uint64_t flag = the_violation == Violation::kForgetsCopiedFlag ? 0 : kCopied;
        CO_CHECK(co_await put_entry(queue, l2_place(part.offset), host | flag));
        CO_CHECK(co_await settle_refcount(queue, host));
        const std::uint64_t freed = old & kOffsetMask;
        if (freed != 0) {
            CO_CHECK(co_await release(queue, freed));
        }
        co_return Status{};
    }

    Task<Status> discard_cluster(Queue& queue, std::uint64_t guest) {
        CO_TRY(const std::uint64_t old, co_await l2_entry(queue, guest));
        if ((old & kOffsetMask) == 0) {
            co_return Status{};
        }
        CO_CHECK(co_await own_l2(queue, guest));
        CO_CHECK(co_await put_entry(queue, l2_place(guest), kZeroFlag));
        co_return co_await release(queue, old & kOffsetMask);
    }

    const lunkit_host& host_;
    File file_;
    Layout layout_;
    AsyncMutex mutex_;
    std::vector<std::uint64_t> blocks_;
    std::vector<std::uint16_t> counts_;   // by host cluster
    std::vector<std::uint16_t> on_disk_;  // as last written
    std::vector<std::ptrdiff_t> late_;    // clusters whose count waits for a flush
    Bytes l1_;
};

}  // namespace

const lunkit_handler* toy_entry(const lunkit_host* host) {
    return lunkit::detail::HandlerTable<Toy>::entry(host, "toy", "a plain qcow2 writer", "<path>");
}

void set_toy_violation(Violation violation) {
    the_violation = violation;
}

}  // namespace lunkit::qcow_rig
