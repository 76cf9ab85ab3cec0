// SPDX-License-Identifier: Apache-2.0
// ControlDevice: /dev/ublk-control, by which devices are made and removed. Every call blocks, some
// for as long as requests of a device run; any thread but those that serve devices.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "lunkit/result.hpp"
#include "ublk/abi.hpp"

namespace lunkit::ublk {

class ControlDevice {
  public:
    /// Sends one command and gives what the driver answers; the error is for what keeps it from
    /// being sent. A test's stand-in for the kernel.
    using Send = std::function<Result<int>(std::uint32_t op, std::span<const std::byte> payload)>;

    static constexpr const char* kNode = "/dev/ublk-control";

    explicit ControlDevice(Send send) : send_(std::move(send)) {}
    /// Loads ublk_drv if need be. ENODEV: this kernel has none, with what to do about it.
    static Result<ControlDevice> open(Send send);

    /// What the kernel can, abi::kFlag...; EOPNOTSUPP on kernels before 6.5.
    [[nodiscard]] Result<std::uint64_t> features() const;
    /// Makes a device that nobody sees yet; gives what the kernel made of `wanted`. EEXIST: there
    /// is one of that number.
    [[nodiscard]] Result<abi::DeviceInfo> add(abi::DeviceInfo wanted) const;
    /// What the kernel knows of a device now. ENODEV: it has none of that number.
    [[nodiscard]] Result<abi::DeviceInfo> info(std::uint32_t dev_id) const;
    [[nodiscard]] Status set_params(std::uint32_t dev_id, const abi::Params& params) const;
    /// Shows the block device, served by the process `server`. Waits until all tags were fetched.
    [[nodiscard]] Status start(std::uint32_t dev_id, pid_t server) const;
    /// Lets a device go from its server, which has ended, to the next one, who fetches all tags and
    /// then calls end_recovery(). EBUSY: it has a server, or the kernel has not noticed yet that it
    /// has none. EINVAL: it cannot be recovered, or is being so.
    [[nodiscard]] Status start_recovery(std::uint32_t dev_id) const;
    /// Waits until all tags were fetched; then requests come, first those of the dead server.
    [[nodiscard]] Status end_recovery(std::uint32_t dev_id, pid_t server) const;
    /// Changes the size of a device that is served; bytes, of whole sectors. Kernels with
    /// abi::kFlagUpdateSize among their features.
    [[nodiscard]] Status update_size(std::uint32_t dev_id, std::uint64_t size) const;
    /// Takes the block device away, waits for its requests, and gives all tags back. Fine for a
    /// device that was not started or is stopped.
    [[nodiscard]] Status stop(std::uint32_t dev_id) const;
    /// Waits until nobody has the character device open or mapped.
    [[nodiscard]] Status remove(std::uint32_t dev_id) const;

  private:
    [[nodiscard]] Status command(std::uint32_t op, std::uint32_t dev_id, std::uint64_t data,
                                 std::span<std::byte> buffer, const char* what) const;
    Send send_;
};

/// Whether the next server of a device can go on with it, and no request fails.
[[nodiscard]] bool is_recoverable(const abi::DeviceInfo& info);

/// Whether this kernel has ublk, without loading it. ENODEV, as for open().
[[nodiscard]] Status find_ublk();

}  // namespace lunkit::ublk
