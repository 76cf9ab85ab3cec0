// SPDX-License-Identifier: Apache-2.0
#include "scsi/copy_status.hpp"

namespace lunkit::scsi {
namespace {

/// COPY OPERATION STATUS, SPC-4 table 249.
enum class CopyOperationStatus : std::uint8_t {
    kCompleted = 0x01,
    kCompletedWithErrors = 0x02,
    kCompletedWithPartialRodTokenUsage = 0x03,
    kInProgressInForeground = 0x11,
};

CopyOperationStatus status_of(const CopyResult& result) {
    if (result.state == CopyResult::State::kInProgress) {
        return CopyOperationStatus::kInProgressInForeground;
    }
    if (!result.ending.is_good()) {
        return CopyOperationStatus::kCompletedWithErrors;
    }
    return result.is_partial ? CopyOperationStatus::kCompletedWithPartialRodTokenUsage
                             : CopyOperationStatus::kCompleted;
}

}  // namespace

CopySense::CopySense(const Unit& unit, const CopyResult& result) {
    if (result.state == CopyResult::State::kEnded &&
        result.ending.status == StatusCode::kCheckCondition) {
        length_ = encode_sense(
            result.ending.sense,
            unit.mode.descriptor_sense ? SenseFormat::kDescriptor : SenseFormat::kFixed, bytes_);
    }
}

void put_copy_status(ParameterData& data, const Unit& unit, const CopyResult& result) {
    constexpr std::uint32_t kStatusUpdateDelay = 1000;  // milliseconds: a suggestion when to ask
    constexpr std::uint32_t kNoMoreUpdates = 0xfffffffe;
    constexpr unsigned kCountsBlocks = 0xf1;
    const bool is_running = result.state == CopyResult::State::kInProgress;
    const CopySense sense(unit, result);
    const std::size_t sense_length = sense.view().size();
    const std::size_t padding = (4 - sense_length % 4) % 4;
    data.be32(0).u8(result.service_action).u8(static_cast<unsigned>(status_of(result)));
    data.be16(result.segments_processed);  // OPERATION COUNTER: how far it has come
    data.be32(is_running ? kStatusUpdateDelay : kNoMoreUpdates);
    data.u8(is_running ? 0 : static_cast<unsigned>(result.ending.status));
    data.u8(static_cast<unsigned>(sense_length + padding));
    data.u8(static_cast<unsigned>(sense_length));
    data.u8(kCountsBlocks).be64(result.bytes_transferred / unit.options.block_size);
    data.be16(result.segments_processed).zeros(6);
    data.bytes(sense.view()).zeros(padding);
}

}  // namespace lunkit::scsi
