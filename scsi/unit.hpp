// SPDX-License-Identifier: Apache-2.0
// Unit: what the commands of one logical unit share. Inside scsi/ only; the face to the outside is
// LogicalUnit. One thread, that of the device's queue; a value read before an await may have
// changed after it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lunkit/block_device.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/range_lock.hpp"
#include "lunkit/task.hpp"
#include "scsi/block_limits.hpp"
#include "scsi/cdb.hpp"
#include "scsi/ending.hpp"
#include "scsi/log_counters.hpp"
#include "scsi/logical_unit.hpp"
#include "scsi/medium.hpp"
#include "scsi/medium_state.hpp"
#include "scsi/mode_pages.hpp"
#include "scsi/provisioning.hpp"
#include "scsi/third_party_copy.hpp"
#include "scsi/unit_attention.hpp"
#include "scsi/unit_memory.hpp"

namespace lunkit::scsi {

struct Unit {
    Unit(BlockDevice& block_device, Initiators& front_end, LogicalUnitOptions unit_options);

    ThirdPartyCopy copies;
    Medium device;
    Initiators& initiators;
    const LogicalUnitOptions options;
    const unsigned block_shift;  ///< options.block_size is 2 to this power

    /// As of the start or of the last capacity_changed(): the initiators' view of the capacity
    /// changes when their unit attention is established, not between two of their commands.
    DeviceInfo info;
    BlockLimits limits;

    ModeParameters mode;
    ModeParameters default_mode;
    UnitAttentions attentions;
    /// A flush that no command asked for has failed, and no initiator has heard of it yet.
    bool deferred_error = false;
    bool started = true;         ///< START STOP UNIT
    bool has_new_media = false;  ///< of a CD: an event that nobody has fetched yet
    MediumState medium_state;
    LogCounters log;
    SpaceWatch space_watch;
    /// What WRITE BUFFER put into the echo buffer last; nothing: it never did.
    std::optional<std::vector<std::uint8_t>> echo;

    /// Takes the device's properties anew.
    void refresh();

    /// Puts what the initiators count on into options.memory; after each change of it.
    void remember() const;
    void establish(AdditionalSense attention);
    /// The deferred error, or the oldest unit attention, as the outcome of `command`; one that is
    /// repeated gets what it got the first time. Nothing: none is pending for it.
    [[nodiscard]] std::optional<Sense> take_pending(const Command& command);
    /// Whether it has to be asked.
    [[nodiscard]] bool may_have_pending(const Command& command) const {
        return command.replay || deferred_error || !attentions.empty();
    }

    [[nodiscard]] std::uint64_t capacity_blocks() const { return info.size >> block_shift; }
    /// The bytes behind the last whole block.
    [[nodiscard]] std::uint64_t part_of_block(std::uint64_t bytes) const {
        return bytes & (options.block_size - 1);
    }
    [[nodiscard]] bool is_cd() const { return info.type == DeviceType::kCdDvd; }
    [[nodiscard]] bool is_zoned() const { return info.type == DeviceType::kZoned; }
    [[nodiscard]] bool write_protected() const {
        return info.read_only || mode.software_write_protect;
    }
    /// Nothing when the blocks are not all within the capacity. No blocks at all may begin right
    /// behind the last one.
    [[nodiscard]] std::optional<ByteRange> range(std::uint64_t logical_block_address,
                                                 std::uint64_t blocks) const;

    /// LUNKIT_IO_* of a request for `command`.
    [[nodiscard]] static std::uint32_t io_flags(const Command& command) {
        return command.replay ? LUNKIT_IO_REPLAY : 0U;
    }
    /// The same for one that changes the medium: durable at once when FUA or WCE = 0 ask for it.
    [[nodiscard]] std::uint32_t write_flags(const Command& command, bool fua) const {
        return io_flags(command) | (fua || !mode.write_cache_enabled ? LUNKIT_IO_FUA : 0U);
    }

    /// For a request of `command` that its zone takes only once.
    [[nodiscard]] std::uint64_t* progress_of(const Command& command) const {
        return is_zoned() ? command.progress : nullptr;
    }

    /// SYNCHRONIZE CACHE of everything.
    Task<Ending> flush(Queue& queue);
    /// Held from before one looks at WCE, to switch it, until the front end has been told: what one
    /// switch finds, another may still take back.
    AsyncMutex write_cache_switch;
    /// With write_cache_switch. From off to on is a promise less; from on to off, everything that
    /// is cached becomes durable: what begins from the first moment on is by itself, what runs sees
    /// to it when it ends, what has ended before by a flush. After a failure all is as before.
    Task<Status> set_write_cache(Queue& queue, bool enabled);
    /// After a request that carried `flags`: the write cache was switched off while it ran, so
    /// that it still needs a flush.
    [[nodiscard]] bool is_unsettled(std::uint32_t flags) const {
        return (flags & LUNKIT_IO_FUA) == 0 && !mode.write_cache_enabled;
    }

  private:
    void recall();
};

/// The checks that all block commands share: protection information (the unit has none), the range
/// (SBC-4 4.5), the length. Nothing: go on.
[[nodiscard]] std::optional<Ending> check_block_cdb(const Unit& unit, const BlockCdb& cdb,
                                                    std::uint64_t maximum_length);

}  // namespace lunkit::scsi
