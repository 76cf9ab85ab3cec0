// SPDX-License-Identifier: Apache-2.0
// What the queue keeps in a completion's reserved words while the operation is pending: what it
// waits for, and the record of the operation (or the link of the posted list). Only cancel() asks,
// and only about timers and polls.
#pragma once

#include <cstdint>

#include "lunkit/handler.h"

namespace lunkit::core {

enum class WaitsFor : std::uint64_t { kNothing, kTimer, kPoll };

inline void mark(lunkit_completion* completion, WaitsFor what, void* record = nullptr) {
    completion->reserved[0] = reinterpret_cast<std::uintptr_t>(record);
    completion->reserved[1] = static_cast<std::uint64_t>(what);
}

[[nodiscard]] inline WaitsFor waits_for(const lunkit_completion* completion) {
    return static_cast<WaitsFor>(completion->reserved[1]);
}

template <typename Record>
[[nodiscard]] Record* marked_record(const lunkit_completion* completion) {
    return reinterpret_cast<Record*>(static_cast<std::uintptr_t>(completion->reserved[0]));
}

/// Sets what a finished operation came to; an error has no position.
inline void set_result(lunkit_completion* completion, std::int64_t result) {
    mark(completion, WaitsFor::kNothing);
    completion->result = result;
    completion->error_offset = LUNKIT_NO_OFFSET;
    completion->error_class = LUNKIT_ERROR_UNSPECIFIED;
}

}  // namespace lunkit::core
