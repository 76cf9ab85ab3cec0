// SPDX-License-Identifier: Apache-2.0
// RamDevice: a RAM disk. Everything is done on the calling thread, except long zeroing.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "lunkit/config_string.hpp"
#include "lunkit/handler.hpp"
#include "lunkit/try.hpp"
#include "ram_memory.hpp"

namespace lunkit::ram {

namespace {

constexpr std::uint64_t kInlineZeroing = 1U << 20U;       // bytes; longer ones go to a worker
constexpr std::uint64_t kLongestAtomicWrite = 1U << 20U;  // bytes
constexpr std::size_t kLongestName = 64;

/// The name is part of that of a shared memory object.
Result<std::string> parse_name(std::string_view text) {
    TRY(const ConfigString config, ConfigString::parse(text));
    CHECK(config.finish());
    const std::string& name = config.target();
    const bool good = !name.empty() && name.size() <= kLongestName && name[0] != '.' &&
                      std::ranges::all_of(name, [](char c) {
                          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                 (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
                      });
    if (!good) {
        return failure(EINVAL, "'" + name +
                                   "' is no name of a RAM disk (letters, digits, '_', '-', '.', "
                                   "64 at most)");
    }
    return name;
}

}  // namespace

class RamDevice final : public BlockDevice {
  public:
    static Result<std::unique_ptr<RamDevice>> open(const OpenRequest& request) {
        TRY(const std::string name, parse_name(request.config));
        if (request.size == 0) {
            return failure(EINVAL, "a RAM disk needs a size");
        }
        TRY(std::unique_ptr<RamMemory> memory, RamMemory::open(request, name));
        return std::make_unique<RamDevice>(request, std::move(memory));
    }
    static Status check_config(const CheckRequest& request) {
        TRY(const std::string name, parse_name(request.config));
        return request.syntax_only ? Status{} : RamMemory::check_free(name);
    }

    RamDevice(const OpenRequest& request, std::unique_ptr<RamMemory> memory)
        : host_(request.host),
          host_device_(request.host_device),
          memory_(std::move(memory)),
          size_(request.size) {}
    RamDevice(const RamDevice&) = delete;
    RamDevice& operator=(const RamDevice&) = delete;
    RamDevice(RamDevice&&) = delete;
    RamDevice& operator=(RamDevice&&) = delete;
    ~RamDevice() override {
        if (host_.handing_over(host_device_) != 0) {
            memory_->keep();
        }
    }

    [[nodiscard]] DeviceInfo info() const override {
        DeviceInfo info;
        info.size = size_.load();
        info.discard_granularity = kChunkSize;
        info.max_atomic_write = kLongestAtomicWrite;
        info.write_cache = false;
        info.parallel = true;
        info.thin = true;
        info.discard_zeroes = true;
        info.can_discard = true;
        info.can_extents = true;
        return info;
    }

    Task<Status> read(Queue& /*queue*/, const IoRequest& io) override {
        co_return status_of(memory_->read(host_, io));
    }
    Task<Status> write(Queue& /*queue*/, const IoRequest& io) override {
        if ((io.flags & LUNKIT_IO_ATOMIC) != 0) {
            CO_CHECK(status_of(memory_->reserve(io.offset, io.length)));
        }
        co_return status_of(memory_->write(host_, io));
    }
    Task<Status> flush(Queue& /*queue*/) override { co_return Status{}; }
    Task<Status> discard(Queue& queue, const IoRequest& io) override {
        if ((io.flags & LUNKIT_IO_ANCHOR) != 0) {
            co_return failure(EOPNOTSUPP);
        }
        Status status = co_await zero(queue, io, true);
        co_return status;
    }
    Task<Status> write_zeroes(Queue& queue, const IoRequest& io) override {
        Status status = co_await zero(queue, io, (io.flags & LUNKIT_IO_MAY_UNMAP) != 0);
        co_return status;
    }
    Task<Result<std::uint32_t>> extents(Queue& /*queue*/, const IoRequest& io,
                                        std::span<Extent> extents) override {
        co_return memory_->extents(io.offset, io.length, extents);
    }
    Status resize(std::uint64_t size) override {
        CHECK(memory_->resize(size));
        size_.store(size);
        return {};
    }

  private:
    static Status status_of(int result) { return result == 0 ? Status{} : failure(-result); }

    Task<Status> zero(Queue& queue, const IoRequest& io, bool give_back) {
        if (io.length <= kInlineZeroing) {
            co_return status_of(memory_->zero(io.offset, io.length, give_back));
        }
        const Outcome outcome =
            co_await queue.offload(this, [this, &io, give_back]() -> std::int64_t {
                return memory_->zero(io.offset, io.length, give_back);
            });
        co_return to_status(outcome);
    }

    const lunkit_host& host_;
    void* const host_device_;
    const std::unique_ptr<RamMemory> memory_;
    std::atomic<std::uint64_t> size_;  // bytes
};

}  // namespace lunkit::ram

LUNKIT_HANDLER(lunkit::ram::RamDevice, "ram", "memory; its contents last until it is removed",
               "<name>  of the RAM disk: letters, digits, '_', '-', '.'");
