// SPDX-License-Identifier: Apache-2.0
#include "tcmu/copy_directory.hpp"

#include <algorithm>
#include <utility>

namespace lunkit::tcmu {

namespace {

/// A member's blocks; nothing else can be done with them.
class MemberBlocks final : public BlockDevice {
  public:
    MemberBlocks(CopyDirectory::Member member, const DeviceInfo& info)
        : member_(std::move(member)), info_(info) {}

    [[nodiscard]] DeviceInfo info() const override { return info_; }
    Task<Status> read(Queue& queue, const IoRequest& io) override {
        return member_->read(queue, io);
    }
    Task<Status> write(Queue& queue, const IoRequest& io) override {
        return member_->write(queue, io);
    }
    Task<Status> flush(Queue& /*queue*/) override { co_return Status{}; }  // writes are durable

  private:
    CopyDirectory::Member member_;
    DeviceInfo info_;
};

}  // namespace

std::string copy_name(const DeviceName& device) {
    return device.config.substr(0, device.config.find('/')) + '/' + device.device;
}

void CopyDirectory::allow(std::vector<core::CopyPair> pairs) {
    const std::lock_guard lock(mutex_);
    pairs_ = std::move(pairs);
}

CopyDirectory::Member CopyDirectory::join(const std::string& name, core::EngineQueue& queue) {
    auto member = std::make_shared<CopyMember>(name, queue);
    const std::lock_guard lock(mutex_);
    std::erase_if(members_, [](const auto& known) { return known.expired(); });
    members_.push_back(member);
    return member;
}

bool CopyDirectory::allows(std::string_view source, std::string_view destination) const {
    return std::ranges::any_of(pairs_, [&](const core::CopyPair& pair) {
        return pair.source == source && pair.destination == destination;
    });
}

std::vector<CopyDirectory::Member> CopyDirectory::partners(std::string_view name, Role role) const {
    std::vector<Member> found;
    const std::lock_guard lock(mutex_);
    if (pairs_.empty()) {
        return found;
    }
    for (const std::weak_ptr<CopyMember>& known : members_) {
        Member member = known.lock();
        if (member &&
            (role == Role::kSource ? allows(member->name(), name) : allows(name, member->name()))) {
            found.push_back(std::move(member));
        }
    }
    return found;
}

CopyPartners::CopyPartners(std::shared_ptr<CopyDirectory> directory, CopyDirectory::Member own)
    : directory_(std::move(directory)),
      own_(std::move(own)),
      own_blocks_(std::make_unique<MemberBlocks>(own_, DeviceInfo())) {}

// Two that have the same name in SCSI (a cloned serial number) are none: a copy must not go to
// whichever comes first.
Task<std::optional<scsi::CopyPeer>> CopyPartners::find(Queue& queue, scsi::NaaIdentifier naa,
                                                       Role role) {
    std::optional<scsi::CopyPeer> match;
    for (CopyDirectory::Member& member : directory_->partners(own_->name(), role)) {
        const std::optional<CopyFacts> facts = co_await member->facts(queue);
        if (!facts || facts->naa != naa) {
            continue;
        }
        if (match) {
            co_return std::nullopt;
        }
        match = scsi::CopyPeer{std::make_shared<MemberBlocks>(std::move(member), facts->info),
                               facts->block_size, facts->reserved};
    }
    co_return match;
}

}  // namespace lunkit::tcmu
