// SPDX-License-Identifier: Apache-2.0
// CopyDirectory: which devices copies may go between. It knows the pairs that root has allowed and
// the members that are there; who asks gets those that the pairs name, in the direction they name.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/engine_queue.hpp"
#include "core/settings.hpp"
#include "scsi/copy_peers.hpp"
#include "tcmu/copy_member.hpp"
#include "tcmu/device_name.hpp"

namespace lunkit::tcmu {

/// "<handler>/<backstore>", as in core::CopyPair; what targetcli shows below /backstores/user:.
[[nodiscard]] std::string copy_name(const DeviceName& device);

/// Any thread.
class CopyDirectory {
  public:
    using Role = scsi::CopyPeers::Role;
    using Member = std::shared_ptr<CopyMember>;

    /// From now on these pairs count, and no others.
    void allow(std::vector<core::CopyPair> pairs);
    /// Known until the last owner lets it go. `queue` outlives it.
    Member join(const std::string& name, core::EngineQueue& queue);
    /// The members that `name` may copy from (kSource) or to (kDestination).
    [[nodiscard]] std::vector<Member> partners(std::string_view name, Role role) const;

  private:
    [[nodiscard]] bool allows(std::string_view source, std::string_view destination) const;

    mutable std::mutex mutex_;
    std::vector<core::CopyPair> pairs_;
    std::vector<std::weak_ptr<CopyMember>> members_;
};

/// What one device's copies find: see scsi::CopyPeers.
class CopyPartners final : public scsi::CopyPeers {
  public:
    /// Both outlive it. `own`: of the device that gets the copy commands.
    CopyPartners(std::shared_ptr<CopyDirectory> directory, CopyDirectory::Member own);

    Task<std::optional<scsi::CopyPeer>> find(Queue& queue, scsi::NaaIdentifier naa,
                                             Role role) override;
    BlockDevice& own_destination() override { return *own_blocks_; }

  private:
    std::shared_ptr<CopyDirectory> directory_;
    CopyDirectory::Member own_;
    std::unique_ptr<BlockDevice> own_blocks_;
};

}  // namespace lunkit::tcmu
