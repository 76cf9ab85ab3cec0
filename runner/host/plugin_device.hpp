// SPDX-License-Identifier: Apache-2.0
// PluginDevice: an open device of a plugin as a BlockDevice.
//
// It checks what comes in (EINVAL: outside of the device, or not in whole blocks; EROFS: a change
// of a read-only device) and makes up for what the handler lacks:
//   FUA                 blocking callbacks: a flush, of either style, behind the write
//                       (asynchronous callbacks get the flag and honour it);
//   write_zeroes        writes of zeros, unless LUNKIT_IO_NO_FALLBACK;
//   compare_and_write   read, compare, write, while no other request touches the range;
//   or_write            read, or, write, likewise: handlers have no callback for it;
//   blocking callbacks  run on workers, one at a time unless LUNKIT_HANDLER_PARALLEL;
//   limits              longer requests are split by max_transfer, max_discard, max_write_zeroes.
// A callback that answers -EOPNOTSUPP is treated as if it were missing.
//
// Requests of a parallel device may come from several queues, else all from one.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "host/handler_registry.hpp"
#include "host/host_table.hpp"
#include "host/io_memory.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/exclusion.hpp"
#include "lunkit/handler.h"
#include "lunkit/range_lock.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit::host {

class PluginDevice final : public BlockDevice {
  public:
    /// Worker thread; blocks. `handler` outlives the device. `config`: what follows "<handler>/".
    static Result<std::unique_ptr<PluginDevice>> open(const lunkit_handler& handler,
                                                      const std::string& config,
                                                      OpenDevice request);
    PluginDevice(const PluginDevice&) = delete;
    PluginDevice& operator=(const PluginDevice&) = delete;
    PluginDevice(PluginDevice&&) = delete;
    PluginDevice& operator=(PluginDevice&&) = delete;
    /// Worker thread; blocks (the handler's close). All requests have ended.
    ~PluginDevice() override;

    [[nodiscard]] DeviceInfo info() const override;
    Task<Status> read(Queue& queue, const IoRequest& io) override;
    Task<Status> write(Queue& queue, const IoRequest& io) override;
    Task<Status> flush(Queue& queue) override;
    Task<Status> discard(Queue& queue, const IoRequest& io) override;
    Task<Status> write_zeroes(Queue& queue, const IoRequest& io) override;
    Task<Status> compare_and_write(Queue& queue, const IoRequest& io) override;
    Task<Status> or_write(Queue& queue, const IoRequest& io) override;
    Task<Result<std::uint32_t>> extents(Queue& queue, const IoRequest& io,
                                        std::span<Extent> extents) override;
    Task<Result<std::uint32_t>> report_zones(Queue& queue, const IoRequest& io,
                                             std::span<Zone> zones) override;
    Task<Status> manage_zones(Queue& queue, ZoneAction action, const IoRequest& io) override;
    Task<Result<Space>> space(Queue& queue) override;
    Status resize(std::uint64_t size) override;
    Status set_write_cache(bool enabled) override;

  private:
    enum class Access : std::uint8_t { kRead, kChange };
    /// What blocking callbacks do with a range.
    enum class Deed : std::uint8_t { kRead, kWrite, kDiscard, kWriteZeroes };
    using AsyncCall = int (*)(void*, lunkit_queue*, const lunkit_io*, lunkit_completion*);

    PluginDevice(const lunkit_handler& handler, OpenDevice request);
    Status adopt(const lunkit_device_info& info, std::uint64_t wanted_size);
    Status adopt_type(const lunkit_device_info& info, DeviceInfo& known) const;
    [[nodiscard]] AsyncCall zone_callback(ZoneAction action) const;
    std::uint64_t take_size(std::uint64_t size);
    [[nodiscard]] lunkit_device_info blank_info() const;

    /// 0 or a positive errno.
    [[nodiscard]] int refusal(const IoRequest& io, Access access, std::uint64_t data_bytes) const;
    /// The asynchronous callback, as an awaitable.
    auto call(AsyncCall callback, Queue& queue, const IoRequest& io) {
        return Operation([this, callback, &queue, &io](lunkit_completion* completion) {
            return callback(device_, queue.handle(), &io, completion);
        });
    }

    // plugin_emulation.cpp; all of these without checks and without a claim on the range
    [[nodiscard]] bool has(Deed deed) const;
    [[nodiscard]] AsyncCall async_callback(Deed deed) const;
    [[nodiscard]] std::uint64_t limit(Deed deed) const;
    Task<Status> transfer_in_pieces(Queue& queue, const IoRequest& io, Deed deed);
    Task<Status> write_atomically(Queue& queue, const IoRequest& io);
    Task<Status> zero(Queue& queue, const IoRequest& io);
    Task<Status> zero_by_writing(Queue& queue, const IoRequest& io);
    Task<Status> compare_by_reading(Queue& queue, const IoRequest& io);
    Task<Status> compare_then_write(Queue& queue, const IoRequest& io);
    Task<Status> or_by_reading(Queue& queue, const IoRequest& io);

    // plugin_blocking.cpp: blocking callbacks on workers
    [[nodiscard]] bool blocks() const;
    [[nodiscard]] bool has_blocking(Deed deed) const;
    Task<Status> block(Queue& queue, const IoRequest& io, Deed deed);
    Task<Status> block_bounced(Queue& queue, const IoRequest& io, Deed deed);
    Task<Status> block_flush(Queue& queue);
    std::int64_t call_blocking(Deed deed, void* memory, std::uint64_t length, std::uint64_t offset,
                               std::uint32_t flags) const;
    template <typename Work>
    Task<Status> on_worker(Queue& queue, Work work);

    const lunkit_handler& handler_;
    const std::uint32_t block_size_;
    const bool asked_read_only_;
    const bool serves_zones_;   // the front end
    const bool one_at_a_time_;  // blocking callbacks
    HostDevice host_device_;
    void* device_ = nullptr;

    std::atomic<std::uint64_t> size_{0};
    std::atomic<bool> read_only_{false};
    std::atomic<std::uint64_t> max_transfer_{0};  // bytes, whole blocks; never 0 once open
    std::atomic<std::uint64_t> max_discard_{0};
    std::atomic<std::uint64_t> max_write_zeroes_{0};
    mutable std::mutex info_mutex_;
    DeviceInfo info_;

    Exclusion exclusion_;
    Exclusion lookups_;  // only who shrinks the device waits for one, however long it takes
    AsyncMutex serial_;  // blocking callbacks of a device that is not parallel: one queue
    BufferPool bounce_;  // their data, where it is not in one piece
};

}  // namespace lunkit::host
