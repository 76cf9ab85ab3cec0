// SPDX-License-Identifier: Apache-2.0
// Ending: how a command ends. A CHECK CONDITION is a result like any other; only LogicalUnit
// turns it into sense bytes, in the format that D_SENSE asks for.
#pragma once

#include <cstdint>

#include "scsi/logical_unit.hpp"
#include "scsi/sense.hpp"

namespace lunkit::scsi {

struct [[nodiscard]] Ending {
    StatusCode status = StatusCode::kGood;
    Sense sense;  ///< with kCheckCondition

    [[nodiscard]] bool is_good() const { return status == StatusCode::kGood; }
};

inline Ending good() {
    return {};
}
/// The initiator will try again: a resource is short.
inline Ending busy() {
    return {StatusCode::kBusy, {}};
}

inline Ending check_condition(SenseKey key, AdditionalSense additional) {
    return {StatusCode::kCheckCondition, {key, additional, {}, {}}};
}
/// `information`: SBC-4 4.18: an LBA, or an offset in the Data-Out buffer (miscompare).
inline Ending check_condition(SenseKey key, AdditionalSense additional, std::uint64_t information) {
    return {StatusCode::kCheckCondition, {key, additional, information, {}}};
}

inline Ending invalid_field_in_cdb(std::uint16_t byte) {
    return {StatusCode::kCheckCondition,
            {SenseKey::kIllegalRequest, asc::kInvalidFieldInCdb, {}, FieldPointer{byte, {}, true}}};
}
/// `bit`: the most significant one of the field.
inline Ending invalid_field_in_cdb(std::uint16_t byte, std::uint8_t bit) {
    return {
        StatusCode::kCheckCondition,
        {SenseKey::kIllegalRequest, asc::kInvalidFieldInCdb, {}, FieldPointer{byte, bit, true}}};
}
inline Ending invalid_field_in_parameter_list(std::uint16_t byte) {
    return {StatusCode::kCheckCondition,
            {SenseKey::kIllegalRequest,
             asc::kInvalidFieldInParameterList,
             {},
             FieldPointer{byte, {}, false}}};
}
inline Ending parameter_list_length_error() {
    return check_condition(SenseKey::kIllegalRequest, asc::kParameterListLengthError);
}
/// The initiator sent another amount of Data-Out than the CDB needs.
inline Ending wrong_data_out_length() {
    return check_condition(SenseKey::kIllegalRequest, asc::kInvalidFieldInCommandInformationUnit);
}
inline Ending logical_block_address_out_of_range() {
    return check_condition(SenseKey::kIllegalRequest, asc::kLogicalBlockAddressOutOfRange);
}

}  // namespace lunkit::scsi
