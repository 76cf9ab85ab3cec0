// SPDX-License-Identifier: Apache-2.0
// CopyMember: one device as the copies of other devices reach it.
//
// The two devices may live on different queues, and each may go at any time. So a copy holds the
// member, never the device; each request crosses to the device's own queue, looks there whether the
// device still serves, runs within its gate (the device stays until the request has ended), and
// comes back. Data is not copied on the way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/engine_queue.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/gate.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "scsi/device_identification.hpp"

namespace lunkit::tcmu {

/// What a copy has to know of a device before it may use it.
struct CopyFacts {
    std::optional<scsi::NaaIdentifier> naa;
    DeviceInfo info;
    std::uint32_t block_size = 0;
    /// Somebody holds a reservation of it, or nobody can tell.
    bool reserved = false;
};

/// What a device offers to members. On its queue's thread.
class CopyAccess {
  public:
    virtual ~CopyAccess() = default;
    /// False: it closes.
    virtual Gate::Pass enter() = 0;
    virtual Task<CopyFacts> copy_facts() = 0;
    /// Inside the gate. Writes are in order with those of the device's own commands.
    virtual Task<Status> read_for_copy(const IoRequest& io) = 0;
    virtual Task<Status> write_for_copy(const IoRequest& io) = 0;

  protected:
    CopyAccess() = default;
    CopyAccess(const CopyAccess&) = default;
    CopyAccess& operator=(const CopyAccess&) = default;
    CopyAccess(CopyAccess&&) = default;
    CopyAccess& operator=(CopyAccess&&) = default;
};

class CopyMember {
  public:
    /// `name` as in core::CopyPair. `queue` outlives the member.
    CopyMember(std::string name, core::EngineQueue& queue)
        : name_(std::move(name)), queue_(queue) {}

    [[nodiscard]] const std::string& name() const { return name_; }

    // On the device's queue: it serves from open() to close().
    void open(CopyAccess& access) { access_ = &access; }
    void close() { access_ = nullptr; }

    // On `queue`, whichever that is; the member outlives the calls.

    /// Nothing: the device does not serve now.
    Task<std::optional<CopyFacts>> facts(Queue& queue);
    /// ESHUTDOWN: the device does not serve (any more).
    Task<Status> read(Queue& queue, const IoRequest& io);
    Task<Status> write(Queue& queue, const IoRequest& io);

  private:
    using Transfer = Task<Status> (CopyAccess::*)(const IoRequest&);
    Detached look(std::optional<CopyFacts>& found, Queue& back, lunkit_completion* completion);
    Detached run(Transfer transfer, const IoRequest& io, Status& outcome, Queue& back,
                 lunkit_completion* completion);
    Task<Status> cross(Queue& queue, Transfer transfer, const IoRequest& io);

    const std::string name_;
    core::EngineQueue& queue_;
    CopyAccess* access_ = nullptr;
};

}  // namespace lunkit::tcmu
