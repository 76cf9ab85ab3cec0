// SPDX-License-Identifier: Apache-2.0
#include "scsi/third_party_copy.hpp"

namespace lunkit::scsi {

std::optional<Ending> refuse_copy(ThirdPartyCopy& copies, std::uint32_t list_identifier,
                                  CopyResults::TimePoint now) {
    if (!RunningCopy::may_begin(copies)) {
        return busy();
    }
    const CopyResult* const earlier = copies.results.find(list_identifier, now);
    if (earlier == nullptr) {
        return {};
    }
    const bool is_running = earlier->state == CopyResult::State::kInProgress;
    if (is_running || (earlier->token_identifier && !earlier->is_token_told)) {
        return check_condition(SenseKey::kIllegalRequest, asc::kOperationInProgress);
    }
    return {};
}

}  // namespace lunkit::scsi
