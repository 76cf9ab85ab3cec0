// SPDX-License-Identifier: Apache-2.0
// NullDevice: forgets what is written and reads as zeros, at once: to measure all but storage.
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "lunkit/config_string.hpp"
#include "lunkit/handler.hpp"
#include "lunkit/try.hpp"

namespace lunkit::null {

namespace {

constexpr std::uint64_t kUsualSize = std::uint64_t{250} << 30U;  // bytes, as null_blk's
constexpr std::array<std::byte, std::size_t{64} << 10U> kZeroes{};

Status check_text(std::string_view text) {
    if (!text.empty()) {
        return failure(EINVAL, "'null/' takes no more: nothing is stored");
    }
    return {};
}

}  // namespace

class NullDevice final : public BlockDevice {
  public:
    static Result<std::unique_ptr<NullDevice>> open(const OpenRequest& request) {
        CHECK(check_text(request.config));
        return std::make_unique<NullDevice>(request);
    }
    static Status check_config(const CheckRequest& request) { return check_text(request.config); }

    explicit NullDevice(const OpenRequest& request)
        : host_(request.host), size_(request.size != 0 ? request.size : kUsualSize) {}

    [[nodiscard]] DeviceInfo info() const override {
        DeviceInfo info;
        info.size = size_.load();
        info.write_cache = false;
        info.parallel = true;
        info.thin = true;
        info.discard_zeroes = true;
        info.can_discard = true;
        return info;
    }
    Task<Status> read(Queue& /*queue*/, const IoRequest& io) override {
        for (std::uint64_t done = 0; done < io.length;) {
            const std::uint64_t piece = std::min<std::uint64_t>(io.length - done, kZeroes.size());
            if (const int error =
                    host_.copy_to(io.data, io.data_offset + done, kZeroes.data(), piece);
                error < 0) {
                co_return failure(-error);
            }
            done += piece;
        }
        co_return Status{};
    }
    Task<Status> write(Queue& /*queue*/, const IoRequest& /*io*/) override { co_return Status{}; }
    Task<Status> flush(Queue& /*queue*/) override { co_return Status{}; }
    Task<Status> discard(Queue& /*queue*/, const IoRequest& /*io*/) override { co_return Status{}; }
    Task<Status> write_zeroes(Queue& /*queue*/, const IoRequest& /*io*/) override {
        co_return Status{};
    }
    Status resize(std::uint64_t size) override {
        size_.store(size);
        return {};
    }

  private:
    const lunkit_host& host_;
    std::atomic<std::uint64_t> size_;  // bytes
};

}  // namespace lunkit::null

LUNKIT_HANDLER(lunkit::null::NullDevice, "null", "nothing: reads zeros, forgets writes",
               "(nothing follows; 250 GiB unless a size is given)");
