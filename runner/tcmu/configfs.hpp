// SPDX-License-Identifier: Apache-2.0
// The configfs folder of a TCMU device, <configfs>/target/core/user_<hba>/<dev>, and the module's
// parameters.
//
// While the kernel waits for the answer to a REMOVED event it holds the locks of the device's
// folder: a path lookup below it would wait for the very answer it is needed for. So open() looks
// every file up once, when the device is added, and keeps O_PATH descriptors; each access reopens
// one of them through /proc/self/fd, without a lookup (an open attribute file shows its first
// content for ever, hence the reopening). Afterwards, when the device is gone, accesses give an
// error. All of it may block: worker threads only.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"
#include "scsi/logical_unit.hpp"
#include "tcmu/device_name.hpp"

namespace lunkit::tcmu {

/// Where the kernel's file systems are; tests put a fake tree here.
struct KernelPaths {
    std::string configfs = "/sys/kernel/config";
    std::string uio_class = "/sys/class/uio";
    std::string dev = "/dev";
    std::string parameters = "/sys/module/target_core_user/parameters";
};

/// What `info` says: "Config: X Size: N MaxDataAreaMB: N ...". X may hold blanks.
struct DeviceInfoText {
    std::uint64_t size = 0;              ///< bytes
    std::uint64_t max_data_area_mb = 0;  ///< 0: an older kernel does not tell

    static Result<DeviceInfoText> parse(std::string_view text);
};

class ConfigfsDevice {
  public:
    enum class File : std::uint8_t {
        kControl,
        kEnable,
        kInfo,
        kHwBlockSize,
        kHwMaxSectors,
        kEmulateWriteCache,
        kEmulatePr,
        kPgrSupport,
        kReservationHolder,
        kTmrNotification,
        kBlockDev,
        kResetRing,
        kUnitSerial,
        kVendorId,
        kProductId,
        kRevision,
        kCompanyId,
        kIndex,
    };
    static constexpr std::size_t kFiles = 18;

    ConfigfsDevice() = default;
    /// ENOENT: there is no such device (or one of the files that every kernel has is missing).
    static Result<ConfigfsDevice> open(const KernelPaths& paths, const DeviceName& name);

    /// Whether this kernel has the file.
    [[nodiscard]] bool has(File file) const;
    /// Its content without the newline at the end.
    [[nodiscard]] Result<std::string> read(File file) const;
    [[nodiscard]] Result<std::uint64_t> read_number(File file) const;
    [[nodiscard]] Status write(File file, std::string_view text) const;

    // What is done with them.

    /// Whether the device has been enabled; not yet: its ADD waits for an answer.
    [[nodiscard]] Result<bool> is_enabled() const;
    /// The number that netlink calls DEVICE_ID.
    [[nodiscard]] Result<std::uint32_t> device_id() const;
    /// Whether an initiator holds a reservation (RESERVE, or PERSISTENT RESERVE OUT); true also
    /// when the kernel does not tell.
    [[nodiscard]] bool is_reserved() const;
    /// What the unit shall say of itself: what the user wrote to wwn/, else our defaults.
    [[nodiscard]] scsi::Identity identity() const;
    /// Of the unit; empty: it has none.
    [[nodiscard]] std::string serial() const;
    /// Tells the kernel a size that started with us. Never while a RECONFIG of the device waits:
    /// the kernel would store the old size over it.
    [[nodiscard]] Status write_size(std::uint64_t bytes) const;
    /// Ends what is outstanding in the ring with BUSY, so that the initiators repeat it, and
    /// empties the ring.
    [[nodiscard]] Status reset_ring() const;
    /// Undoes a block_dev that a predecessor left behind. True: there was one.
    [[nodiscard]] Result<bool> unblock() const;

  private:
    std::array<UniqueFd, kFiles> files_;
    std::string folder_;
};

/// A module parameter; ENOENT: this kernel has none of that name.
Status write_parameter(const KernelPaths& paths, std::string_view name, std::string_view value);

}  // namespace lunkit::tcmu
