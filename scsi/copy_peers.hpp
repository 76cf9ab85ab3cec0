// SPDX-License-Identifier: Apache-2.0
// CopyPeers: the other units that a third-party copy of this unit may read from or write to.
//
// An initiator may name any unit in a copy, also one that it has no access to (CVE-2020-28374,
// CVE-2021-3139). So a copy stays within the unit that gets the command unless whoever runs the
// unit offers others: those that root has allowed, per direction. A unit that exists but is not
// offered and one that does not exist look the same to the initiator.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "lunkit/block_device.hpp"
#include "scsi/device_identification.hpp"

namespace lunkit::scsi {

/// One other unit, for one direction.
struct CopyPeer {
    /// Called on this unit's queue; takes part in the locks and the caching of its own unit's
    /// commands. Shared, because the unit may go while a copy still uses it.
    std::shared_ptr<BlockDevice> device;
    std::uint32_t block_size = 0;  ///< logical block length
};

class CopyPeers {
  public:
    /// What the peer is to the copy; this unit is the other end.
    enum class Role : std::uint8_t { kSource, kDestination };

    virtual ~CopyPeers() = default;
    /// The unit that `naa` designates, if this unit may copy from it (kSource) or to it
    /// (kDestination). On this unit's queue; returns at once.
    [[nodiscard]] virtual std::optional<CopyPeer> find(const NaaIdentifier& naa, Role role) = 0;

  protected:
    CopyPeers() = default;
    CopyPeers(const CopyPeers&) = default;
    CopyPeers& operator=(const CopyPeers&) = default;
    CopyPeers(CopyPeers&&) = default;
    CopyPeers& operator=(CopyPeers&&) = default;
};

}  // namespace lunkit::scsi
