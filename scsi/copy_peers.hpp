// SPDX-License-Identifier: Apache-2.0
// CopyPeers: the other units that a third-party copy of this unit may read from or write to.
//
// An initiator may name any unit in a copy, also one that it has no access to (CVE-2020-28374,
// CVE-2021-3139). So a copy stays within the unit that gets the command unless whoever runs the
// unit offers others: those that root has allowed, per direction. A unit that exists but is not
// offered and one that does not exist look the same to the initiator.
//
// The order of writes. A front end that may execute a command twice keeps commands in order that
// change the same blocks (changed_range.hpp). It cannot hold blocks of two units for one command:
// two copies in opposite directions would wait for each other. So a copy between units holds
// nothing, each of its writes is put in order by the unit that it changes, and a copy that may have
// been under way before is not begun anew.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "lunkit/block_device.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/task.hpp"
#include "scsi/device_identification.hpp"

namespace lunkit::scsi {

/// One other unit, for one direction.
struct CopyPeer {
    /// Called on this unit's queue; takes part in the locks and the caching of its own unit's
    /// commands. Shared, because the unit may go while a copy still uses it.
    std::shared_ptr<BlockDevice> device;
    std::uint32_t block_size = 0;  ///< logical block length
    bool reserved = false;         ///< somebody holds a reservation of it, whoever that is
};

class CopyPeers {
  public:
    /// What the peer is to the copy; this unit is the other end.
    enum class Role : std::uint8_t { kSource, kDestination };

    virtual ~CopyPeers() = default;
    /// The unit that `naa` designates, if this unit may copy from it (kSource) or to it
    /// (kDestination), as it is now. On this unit's queue.
    virtual Task<std::optional<CopyPeer>> find(Queue& queue, NaaIdentifier naa, Role role) = 0;
    /// This unit's own blocks as the destination of a copy from a peer: writes are in order with
    /// those of this unit's commands. Outlives the copy.
    [[nodiscard]] virtual BlockDevice& own_destination() = 0;

  protected:
    CopyPeers() = default;
    CopyPeers(const CopyPeers&) = default;
    CopyPeers& operator=(const CopyPeers&) = default;
    CopyPeers(CopyPeers&&) = default;
    CopyPeers& operator=(CopyPeers&&) = default;
};

}  // namespace lunkit::scsi
