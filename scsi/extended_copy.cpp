// SPDX-License-Identifier: Apache-2.0
// EXTENDED COPY (SPC-4 5.17, 6.4 and 6.5): copies between blocks of this unit, and between this
// unit and those that its CopyPeers offer.
//
// What is wrong with the parameter list itself is told before anything is copied, as ILLEGAL
// REQUEST. Segments are then processed in order; the first that fails ends the command with COPY
// ABORTED (SPC-4 5.17.7.4): its number is in COMMAND-SPECIFIC INFORMATION, the blocks it still had
// to write are in INFORMATION if it wrote any. Whatever IMMED says, the status comes when the copy
// has ended, so that a failure is told with the command it belongs to.
#include <algorithm>
#include <expected>
#include <memory>
#include <optional>

#include "scsi/block_copy.hpp"
#include "scsi/commands.hpp"
#include "scsi/copy_limits.hpp"
#include "scsi/copy_peers.hpp"
#include "scsi/extended_copy_list.hpp"
#include "scsi/third_party_copy.hpp"

namespace lunkit::scsi {
namespace {

using Format = ExtendedCopyList::Format;
using Role = CopyPeers::Role;
using Scope = ExtendedCopyList::Scope;
using OwnName = std::optional<NaaIdentifier>;

/// Why a segment cannot be processed.
struct Fault {
    AdditionalSense additional;
    std::optional<FieldPointer> field = {};
};

Fault segment_fault(AdditionalSense additional, std::uint16_t field) {
    return {additional, FieldPointer{field, {}, false, true}};
}
/// `at`: in the parameter list, of the field or of the unit's CSCD descriptor.
Fault list_fault(AdditionalSense additional, std::uint16_t at) {
    return {additional, FieldPointer{at, {}, false, false}};
}

Ending copy_aborted(const Fault& fault, std::size_t segment) {
    return {StatusCode::kCheckCondition,
            {SenseKey::kCopyAborted, fault.additional, {}, fault.field, segment}};
}

/// One end of a segment.
struct Place {
    BlockDevice* device = nullptr;
    bool is_own = false;
    std::uint32_t block_size = 0;
    std::shared_ptr<BlockDevice> peer = {};  ///< keeps it, if it is one
    bool reserved = false;
};

/// The unit that `descriptor` names: this one, or what the peers offer. `other_is_own`: a copy that
/// this unit has no part in is none of its business.
Task<std::optional<Place>> find_place(Unit& unit, Queue& queue, const OwnName& own,
                                      const CscdDescriptor& descriptor, bool other_is_own,
                                      Role role) {
    CopyPeers* const peers = unit.options.copy_peers;
    if (!descriptor.naa) {
        co_return std::nullopt;
    }
    if (own && *descriptor.naa == *own) {
        const bool is_ordered_here =
            role == Role::kDestination && !other_is_own && peers != nullptr;
        BlockDevice& blocks = is_ordered_here ? peers->own_destination() : unit.device;
        co_return Place{&blocks, true, unit.options.block_size, {}};
    }
    if (peers == nullptr || !other_is_own) {
        co_return std::nullopt;
    }
    std::optional<CopyPeer> peer = co_await peers->find(queue, *descriptor.naa, role);
    if (!peer) {
        co_return std::nullopt;
    }
    BlockDevice* const device = peer->device.get();
    co_return Place{device, false, peer->block_size, std::move(peer->device), peer->reserved};
}

/// Whether the place is what its descriptor says, and has blocks as the unit's.
std::optional<Fault> check_place(const Unit& unit, const Place& place,
                                 const CscdDescriptor& descriptor, std::uint16_t cscd_at) {
    constexpr std::uint16_t kDiskBlockLengthAt = 29;
    if (descriptor.peripheral_device_type != 0 || place.block_size != unit.options.block_size ||
        place.device->info().type != DeviceType::kBlock) {
        return list_fault(asc::kIncorrectCopyTargetDeviceType, cscd_at);
    }
    // SPC-4 6.4.5.3: zero means whatever it is.
    if (descriptor.disk_block_length != 0 && descriptor.disk_block_length != place.block_size) {
        return list_fault(asc::kInvalidFieldInParameterList,
                          static_cast<std::uint16_t>(cscd_at + kDiskBlockLengthAt));
    }
    return {};
}

struct Places {
    Place source;
    Place destination;
};

Task<std::expected<Places, Fault>> find_places(Unit& unit, Queue& queue, const OwnName& own,
                                               const ExtendedCopyList& list,
                                               SegmentDescriptor segment) {
    const std::uint16_t source_id = segment.source_cscd_descriptor_id;
    const std::uint16_t destination_id = segment.destination_cscd_descriptor_id;
    if (source_id >= list.cscd_count()) {
        co_return std::unexpected(
            segment_fault(asc::kUnreachableCopyTarget, SegmentDescriptor::kSourceIdAt));
    }
    if (destination_id >= list.cscd_count()) {
        co_return std::unexpected(
            segment_fault(asc::kUnreachableCopyTarget, SegmentDescriptor::kDestinationIdAt));
    }
    const CscdDescriptor source = list.cscd(source_id);
    const CscdDescriptor destination = list.cscd(destination_id);
    auto from =
        co_await find_place(unit, queue, own, source, own && destination.naa == own, Role::kSource);
    auto to = co_await find_place(unit, queue, own, destination, own && source.naa == own,
                                  Role::kDestination);
    if (!from || !to) {
        co_return std::unexpected(list_fault(asc::kCopyTargetDeviceNotReachable,
                                             list.cscd_at(from ? destination_id : source_id)));
    }
    if (const auto fault = check_place(unit, *from, source, list.cscd_at(source_id))) {
        co_return std::unexpected(*fault);
    }
    if (const auto fault = check_place(unit, *to, destination, list.cscd_at(destination_id))) {
        co_return std::unexpected(*fault);
    }
    co_return Places{std::move(*from), std::move(*to)};
}

/// The initiators of this unit are not those that a reservation of another one is for.
std::optional<CopyFailure> check_reservations(const Places& places) {
    using By = ForwardedSense::By;
    const Ending conflict{StatusCode::kReservationConflict, {}};
    if (places.source.reserved) {
        return CopyFailure{By::kCopySource, conflict};
    }
    if (places.destination.reserved) {
        return CopyFailure{By::kCopyDestination, conflict};
    }
    return {};
}

/// Nothing: the blocks are not all there.
std::optional<CopyEnd> find_end(const Unit& unit, const Place& place, std::uint64_t lba,
                                std::uint64_t blocks) {
    const std::uint64_t capacity =
        place.is_own ? unit.capacity_blocks() : place.device->info().size / place.block_size;
    if (!ByteRange::fits(lba, blocks, capacity)) {
        return {};
    }
    return CopyEnd{place.device, place.is_own, lba * place.block_size};
}

std::expected<BlockCopy, Fault> plan(const Unit& unit, const Places& places,
                                     const SegmentDescriptor& segment) {
    const std::uint64_t blocks = segment.number_of_blocks;
    const auto source = find_end(unit, places.source, segment.source_lba, blocks);
    const auto destination = find_end(unit, places.destination, segment.destination_lba, blocks);
    // No additional sense code names it; the segment pointer tells which address it is.
    if (!source) {
        return std::unexpected(
            segment_fault(asc::kNoAdditionalSenseInformation, SegmentDescriptor::kSourceLbaAt));
    }
    if (!destination) {
        return std::unexpected(segment_fault(asc::kNoAdditionalSenseInformation,
                                             SegmentDescriptor::kDestinationLbaAt));
    }
    return BlockCopy{*source, *destination, blocks * unit.options.block_size};
}

/// COPY ABORTED with what the failed request's unit said.
Ending third_party_failure(const CopyFailure& failure, const ExtendedCopyList& list,
                           std::size_t number) {
    const SegmentDescriptor segment = list.segment(number);
    const bool by_source = failure.by == ForwardedSense::By::kCopySource;
    const std::uint16_t cscd =
        by_source ? segment.source_cscd_descriptor_id : segment.destination_cscd_descriptor_id;
    Ending ending =
        copy_aborted(list_fault(asc::kThirdPartyDeviceFailure, list.cscd_at(cscd)), number);
    ending.sense.forwarded = ForwardedSense{
        failure.by, static_cast<std::uint8_t>(failure.ending.status), failure.ending.sense.key,
        failure.ending.sense.additional, failure.ending.sense.information};
    return ending;
}

/// One EXTENDED COPY at work.
struct Work {
    const ExtendedCopyList& list;
    OwnName own;
    Buffer& buffer;
    CopyResult& result;
    bool cached = false;
};

Task<Ending> process_segment(Unit& unit, Queue& queue, const Command& command, Work& work,
                             std::size_t number) {
    ++work.result.segments_processed;
    const SegmentDescriptor segment = work.list.segment(number);
    const auto places = co_await find_places(unit, queue, work.own, work.list, segment);
    if (!places) {
        co_return copy_aborted(places.error(), number);
    }
    if (const auto failure = check_reservations(*places)) {
        co_return third_party_failure(*failure, work.list, number);
    }
    const auto copy = plan(unit, *places, segment);
    if (!copy) {
        co_return copy_aborted(copy.error(), number);
    }
    const BlockCopyOutcome outcome = co_await copy_blocks(unit, queue, command, *copy, work.buffer);
    work.cached = work.cached || outcome.cached;
    work.result.bytes_transferred += outcome.complete;
    if (!outcome.failure) {
        co_return good();
    }
    Ending ending = third_party_failure(*outcome.failure, work.list, number);
    if (outcome.transferred > 0) {
        ending.sense.information = (copy->length - outcome.complete) / unit.options.block_size;
    }
    co_return ending;
}

Task<Ending> process_segments(Unit& unit, Queue& queue, const Command& command, Work& work) {
    for (std::size_t number = 0; number < work.list.segment_count(); ++number) {
        const Ending ending = co_await process_segment(unit, queue, command, work, number);
        if (!ending.is_good()) {
            co_return ending;
        }
    }
    if (work.cached && !unit.mode.write_cache_enabled) {
        const Ending flushed = co_await unit.flush(queue);
        if (!flushed.is_good()) {
            co_return third_party_failure({ForwardedSense::By::kCopyDestination, flushed},
                                          work.list, work.list.segment_count() - 1);
        }
    }
    co_return good();
}

std::optional<Ending> check_segment_lengths(const Unit& unit, const ExtendedCopyList& list) {
    for (std::size_t i = 0; i < list.segment_count(); ++i) {
        const std::uint64_t length =
            std::uint64_t{list.segment(i).number_of_blocks} * unit.options.block_size;
        if (length > copy_limits::kMaximumSegmentLength) {
            return invalid_field_in_parameter_list(static_cast<std::uint16_t>(
                list.segment_at(i) + SegmentDescriptor::kNumberOfBlocksAt));
        }
    }
    return {};
}

/// Whether a copy reads what it writes: begun anew after a take-over, it would read what the first
/// run has left.
bool reads_what_it_writes(const ExtendedCopyList& list) {
    const auto overlaps = [](const SegmentDescriptor& from, const SegmentDescriptor& to) {
        return ByteRange{from.source_lba, from.number_of_blocks}.overlaps(
            {to.destination_lba, to.number_of_blocks});
    };
    for (std::size_t i = 0; i < list.segment_count(); ++i) {
        for (std::size_t j = 0; j < list.segment_count(); ++j) {
            if (overlaps(list.segment(i), list.segment(j))) {
                return true;
            }
        }
    }
    return false;
}

/// Bytes of the longest segment; at least a block.
std::uint64_t longest_segment(const Unit& unit, const ExtendedCopyList& list) {
    std::uint64_t blocks = 1;
    for (std::size_t i = 0; i < list.segment_count(); ++i) {
        blocks = std::max<std::uint64_t>(blocks, list.segment(i).number_of_blocks);
    }
    return blocks * unit.options.block_size;
}

Task<Ending> extended_copy(Unit& unit, Queue& queue, Command& command, Format format) {
    const Cdb cdb(command.cdb);
    const std::uint32_t parameter_list_length = cdb.be32(10);
    if (parameter_list_length == 0) {
        co_return good();
    }
    const auto list = ExtendedCopyList::fetch(command, format, parameter_list_length);
    if (!list) {
        co_return list.error();
    }
    if (const auto refusal = check_segment_lengths(unit, *list)) {
        co_return *refusal;
    }
    const Scope scope = list->scope();
    if (scope ==
        Scope::kMixed) {  // what is in order with other commands, and how, is for all of it
        co_return check_condition(SenseKey::kIllegalRequest,
                                  asc::kInvalidOperationForCopySourceOrDestination);
    }
    if (command.replay && (scope == Scope::kBetweenUnits || reads_what_it_writes(*list))) {
        co_return copy_aborted(Fault{asc::kNoAdditionalSenseInformation}, 0);
    }
    Buffer buffer(copy_buffer_size(unit, longest_segment(unit, *list)));
    if (!buffer) {
        co_return busy();
    }
    const Identity identity = co_await unit.initiators.identity(queue);
    if (!RunningCopy::may_begin(unit.copies)) {
        co_return busy();
    }
    std::optional<std::uint32_t> list_identifier;
    if (list->list_id_usage() != ListIdUsage::kDisabled) {
        list_identifier = list->list_identifier();
    }
    RunningCopy running(unit.copies, list_identifier, cdb.bits(1, 4, 0));
    Work work{*list, make_naa_identifier(identity.serial, identity.company_id), buffer,
              running.result()};
    const Ending ending = co_await process_segments(unit, queue, command, work);
    running.end(ending, unit.options.now());
    co_return ending;
}

}  // namespace

Task<Ending> extended_copy_lid1(Unit& unit, Queue& queue, Command& command) {
    return extended_copy(unit, queue, command, Format::kLid1);
}
Task<Ending> extended_copy_lid4(Unit& unit, Queue& queue, Command& command) {
    return extended_copy(unit, queue, command, Format::kLid4);
}

}  // namespace lunkit::scsi
