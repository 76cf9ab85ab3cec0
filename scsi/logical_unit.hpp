// SPDX-License-Identifier: Apache-2.0
// LogicalUnit: all of SCSI behind one call. A front end gives CDB and data; the unit answers the
// command itself or turns it into block operations on its BlockDevice.
//
// Everything runs on the thread of the device's queue. One unit serves all initiators: TCMU does
// not name them, so a unit attention is pending once for the unit, and the first command that may
// report it does.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "lunkit/block_device.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/task.hpp"

namespace lunkit::scsi {

/// SAM-5 5.3.1, status codes.
enum class StatusCode : std::uint8_t {
    kGood = 0x00,
    kCheckCondition = 0x02,
    kBusy = 0x08,
    kReservationConflict = 0x18,
    kTaskAborted = 0x40,
};

inline constexpr std::size_t kSenseCapacity = 96;  ///< TCMU_SENSE_BUFFERSIZE

/// One command, its data and what became of it. The front end owns it and keeps it, the CDB and the
/// data alive until execute() has completed.
struct Command {
    // In
    std::span<const std::uint8_t> cdb;  ///< as long as the opcode says (SPC: 6..16, or 8 + byte 7)
    /// The data area: Data-Out to read or Data-In to fill; TCMU does not say which. Its length is
    /// what the initiator expects to transfer. Kind LUNKIT_DATA_IOV; nullptr: none.
    const Data* data = nullptr;
    std::uint64_t tag = 0;
    bool replay = false;  ///< re-executed after a take-over (LUNKIT_IO_REPLAY)
    /// For commands that may not be done twice: a word that a take-over finds as it was left; 0 at
    /// first. nullptr: the command will not be replayed.
    std::uint64_t* progress = nullptr;

    // Out
    StatusCode status = StatusCode::kGood;
    std::uint8_t sense_length = 0;                   ///< bytes of sense, with kCheckCondition
    std::array<std::uint8_t, kSenseCapacity> sense;  ///< set as far as sense_length
    /// Bytes at the start of `data` that this command has produced for the initiator; the front end
    /// reports the residual or zeroes the rest. 0 for commands without Data-In.
    std::uint64_t data_in_length = 0;
};

/// Who the unit says it is (INQUIRY, VPD 80h and 83h). ASCII; cut to the standard's field widths.
struct Identity {
    std::string vendor = "LUNKIT";
    std::string product = "lunkit disk";
    std::string revision = "0001";
    std::string serial;                   ///< the T10 VPD unit serial number (LIO: a UUID)
    std::uint32_t company_id = 0x001405;  ///< IEEE OUI for the NAA designator
};

/// What the unit asks of its front end. Calls come on the queue's thread.
class Initiators {
  public:
    virtual ~Initiators() = default;
    /// May be asked at each INQUIRY: the front end decides what it caches (LIO writes wwn/ after
    /// the device is enabled).
    virtual Task<Identity> identity(Queue& queue) = 0;
    /// MODE SELECT changed WCE; what the front end keeps of it shall follow. Returns at once.
    virtual void write_cache_changed(bool enabled) = 0;
    /// Runs `work`, whose command ends before it does (IMMED), beside the commands. The unit and
    /// the queue stay until it has ended, see LogicalUnit::end_background(). False: it is too late
    /// to begin anything; `work` has not run at all.
    virtual bool run_in_background(Task<void> work) = 0;

  protected:
    Initiators() = default;
    Initiators(const Initiators&) = default;
    Initiators& operator=(const Initiators&) = default;
    Initiators(Initiators&&) = default;
    Initiators& operator=(Initiators&&) = default;
};

class CopyPeers;    // copy_peers.hpp
struct UnitMemory;  // unit_memory.hpp

struct LogicalUnitOptions {
    std::uint32_t block_size = 512;  ///< logical block length; a power of two from 512 to 4096
    std::uint64_t max_transfer = 0;  ///< bytes of one command that the front end can carry
    bool write_cache = true;         ///< WCE at start
    /// The front end's target answers RESERVE, RELEASE and PERSISTENT RESERVE before the unit sees
    /// them (LIO unless pgr_support or emulate_pr is 0): the unit then reports them as supported.
    bool target_answers_reservations = true;
    /// The other units that copies may use; nullptr: none. Outlives the unit.
    CopyPeers* copy_peers = nullptr;
    /// What a unit of this device that ended, however, has left here is recalled, and overrides
    /// write_cache; then it holds what this one knows. nullptr: nothing is. Outlives the unit.
    UnitMemory* memory = nullptr;
    /// What time it is: results of copies are held for some time.
    std::chrono::steady_clock::time_point (*now)() = &std::chrono::steady_clock::now;
};

class LogicalUnit {
  public:
    /// `device` and `initiators` outlive the unit.
    LogicalUnit(BlockDevice& device, Initiators& initiators, LogicalUnitOptions options);
    LogicalUnit(const LogicalUnit&) = delete;
    LogicalUnit& operator=(const LogicalUnit&) = delete;
    LogicalUnit(LogicalUnit&&) = delete;
    LogicalUnit& operator=(LogicalUnit&&) = delete;
    ~LogicalUnit();

    /// Runs one command to its end; always gives it a status. Many may run at once.
    Task<void> execute(Queue& queue, Command& command);

    /// The unit's blocks as one end of a copy between units (copy_peers.hpp): the same obstacles
    /// and the same care as for a command of this unit; whole blocks within its size.
    Task<Status> read_for_copy(Queue& queue, const IoRequest& io);
    Task<Status> write_for_copy(Queue& queue, const IoRequest& io);

    /// Goes on with what a predecessor left running in the background, if anything. Once, when the
    /// predecessor's commands have been repeated and before the first new one.
    void resume_background(Queue& queue);
    /// The front end closes: what runs in the background ends soon. A successor with the same
    /// memory goes on; without one it is undone.
    void end_background();

    /// The device's size has changed: CAPACITY DATA HAS CHANGED is pending for the initiators.
    void capacity_changed();
    /// The write cache is switched from outside (configfs): MODE PARAMETERS CHANGED is pending.
    /// When it ends with success, what was written before is durable if the cache is off now; after
    /// a failure the cache is as it was.
    Task<Status> set_write_cache(Queue& queue, bool enabled);
    [[nodiscard]] bool write_cache() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// The length of a CDB by its first bytes (SPC-5 4.2.5.1; Linux scsi_command_size() for the vendor
/// and reserved groups: group 3 gives 12, groups 6 and 7 give 10). 0 when `bytes` is too short to
/// tell (7Fh needs 8).
[[nodiscard]] std::size_t cdb_length(std::span<const std::uint8_t> bytes);

}  // namespace lunkit::scsi
