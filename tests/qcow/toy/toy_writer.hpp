// SPDX-License-Identifier: Apache-2.0
// A deliberately plain qcow2 writer, to prove the rig: correct by doing everything in turn with a
// flush between any two steps that depend on each other, or wrong in one named way. The rig must
// find each of these wrongs, and nothing in the correct one.
//
// Served images: 16-bit refcounts, no compression, no backing file, all refcount blocks that will
// be needed present; internal snapshots may exist.
#pragma once

#include <cstdint>

#include "lunkit/handler.h"

namespace lunkit::qcow_rig {

/// The rules are those of the qcow2 write ordering (see the essay in toy_writer.cpp).
enum class Violation : std::uint8_t {
    kNothing,
    kPointerBeforeRefcount,  ///< R1
    kPointerBeforeCopy,      ///< R2
    kL1BeforeL2,             ///< R3
    kRefcountBeforeUnlink,   ///< R4
    kReuseBeforeUnlink,      ///< R5
    kFlushDoesNothing,
    kFuaDoesNothing,
    kWriteRacesDiscard,  ///< in-place writes do not hold off a discard of their cluster
    kForgetsCopiedFlag,
    kNoCopyOnWrite,  ///< the rest of a new cluster is zeros
};

/// The entry point of a toy that does this wrong.
[[nodiscard]] const lunkit_handler* toy_entry(const lunkit_host* host);
void set_toy_violation(Violation violation);

}  // namespace lunkit::qcow_rig
