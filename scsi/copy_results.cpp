// SPDX-License-Identifier: Apache-2.0
#include "scsi/copy_results.hpp"

#include <algorithm>
#include <utility>

namespace lunkit::scsi {

CopyResult& CopyResults::begin(std::optional<std::uint32_t> list_identifier,
                               std::uint8_t service_action) {
    using State = CopyResult::State;
    for (CopyResult& result : results_) {
        if (result.state == State::kEnded && result.list_identifier == list_identifier) {
            result.state = State::kNone;
        }
    }
    // The place to give up: an empty one, else what has been held longest.
    CopyResult& place = *std::ranges::min_element(results_, {}, [](const CopyResult& result) {
        return std::pair(static_cast<int>(result.state == State::kInProgress),
                         result.state == State::kNone ? 0 : result.order);
    });
    place = {};
    place.state = State::kInProgress;
    place.list_identifier = list_identifier;
    place.service_action = service_action;
    place.order = ++begun_;
    return place;
}

void CopyResults::end(CopyResult& result, Ending ending, TimePoint now) {
    result.state = result.list_identifier ? CopyResult::State::kEnded : CopyResult::State::kNone;
    result.ending = ending;
    result.ended = now;
}

CopyResult* CopyResults::find(std::uint32_t list_identifier, TimePoint now) {
    CopyResult* found = nullptr;
    for (CopyResult& result : results_) {
        if (result.state == CopyResult::State::kEnded && now - result.ended > kHeldFor) {
            result.state = CopyResult::State::kNone;
        }
        if (result.state != CopyResult::State::kNone && result.list_identifier == list_identifier &&
            (found == nullptr || result.order > found->order)) {
            found = &result;
        }
    }
    return found;
}

}  // namespace lunkit::scsi
