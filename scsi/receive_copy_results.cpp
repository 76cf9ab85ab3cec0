// SPDX-License-Identifier: Apache-2.0
// RECEIVE COPY OPERATING PARAMETERS, STATUS and FAILURE DETAILS (SPC-4 6.22 to 6.25; the commands
// that SPC-3 calls RECEIVE COPY RESULTS).
#include "scsi/commands.hpp"
#include "scsi/copy_limits.hpp"
#include "scsi/copy_results.hpp"
#include "scsi/copy_status.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::size_t kAllocationLengthAt = 10;
constexpr std::size_t kAvailableDataLength = 4;

void deliver_available(Command& command, ParameterData& data) {
    data.set(0, data.size() - kAvailableDataLength, 4);
    deliver(command, data.view(), Cdb(command.cdb).be32(kAllocationLengthAt));
}

CopyResult* find_lid1(Unit& unit, const Command& command) {
    return unit.copies.results.find(Cdb(command.cdb).byte(2), unit.options.now());
}

/// TRANSFER COUNT and its units: bytes, or the smallest larger unit of 2^10n in which the number
/// fits.
void put_lid1_transfer_count(ParameterData& data, std::uint64_t bytes) {
    unsigned units = 0;
    for (; bytes > 0xffffffffU; bytes >>= 10U) {
        ++units;
    }
    data.u8(units).be32(bytes);
}

}  // namespace

// SPC-4 6.25. The status of a copy that has ended is told once.
Ending receive_copy_status_lid1(Unit& unit, Command& command) {
    enum class CopyStatus : std::uint8_t { kInProgress = 0, kGood = 1, kFailed = 2 };
    CopyResult* const result = find_lid1(unit, command);
    if (result == nullptr) {
        return invalid_field_in_cdb(2);
    }
    CopyStatus status = CopyStatus::kInProgress;
    if (result->state == CopyResult::State::kEnded) {
        status = result->ending.is_good() ? CopyStatus::kGood : CopyStatus::kFailed;
    }
    ParameterData data;
    data.be32(0).u8(static_cast<unsigned>(status)).be16(result->segments_processed);
    put_lid1_transfer_count(data, result->bytes_transferred);
    deliver_available(command, data);
    // What failed may still be asked for its details.
    if (status == CopyStatus::kGood) {
        result->state = CopyResult::State::kNone;
    }
    return good();
}

// SPC-4 6.22.
Ending receive_copy_operating_parameters(Unit& /*unit*/, Command& command) {
    constexpr unsigned kSupportsNoListIdentifier = 0x01;
    ParameterData data;
    data.be32(0).u8(kSupportsNoListIdentifier).zeros(3);
    data.be16(copy_limits::kMaximumCscdDescriptorCount);
    data.be16(copy_limits::kMaximumSegmentDescriptorCount);
    data.be32(copy_limits::kMaximumDescriptorListLength);
    data.be32(copy_limits::kMaximumSegmentLength);
    data.be32(copy_limits::kMaximumInlineDataLength);
    data.be32(0).be32(0);  // no held data, no stream devices
    data.be16(0).be16(copy_limits::kConcurrentCopies).u8(copy_limits::kConcurrentCopies);
    data.zeros(3);  // granularities: 2^0 bytes
    data.zeros(3);
    data.u8(static_cast<unsigned>(copy_descriptor::kSupported.size()));
    data.bytes(copy_descriptor::kSupported);
    deliver_available(command, data);
    return good();
}

// SPC-4 6.23.
Ending receive_copy_failure_details_lid1(Unit& unit, Command& command) {
    CopyResult* const result = find_lid1(unit, command);
    if (result == nullptr || result->state == CopyResult::State::kInProgress) {
        return invalid_field_in_cdb(2);
    }
    const CopySense sense(unit, *result);
    ParameterData data;
    data.be32(0);
    if (!sense.view().empty()) {
        data.zeros(52);
        data.u8(static_cast<unsigned>(result->ending.status)).u8(0);
        data.be16(sense.view().size()).bytes(sense.view());
        result->state = CopyResult::State::kNone;
    }
    deliver_available(command, data);
    return good();
}

// SPC-4 6.24.
Ending receive_copy_status_lid4(Unit& unit, Command& command) {
    constexpr std::size_t kListIdentifierAt = 2;
    const std::uint32_t list_identifier = Cdb(command.cdb).be32(kListIdentifierAt);
    const CopyResult* const result = unit.copies.results.find(list_identifier, unit.options.now());
    if (result == nullptr) {
        return invalid_field_in_cdb(kListIdentifierAt);
    }
    ParameterData data;
    put_copy_status(data, unit, *result);
    deliver_available(command, data);
    return good();
}

}  // namespace lunkit::scsi
