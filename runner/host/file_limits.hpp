// SPDX-License-Identifier: Apache-2.0
// What an open file or block device can do: alignment of direct I/O, block sizes, discard.
#pragma once

#include "host/file_open.hpp"
#include "lunkit/result.hpp"

namespace lunkit::host {

/// Fills in what is known of `file`, whose fd is open. `direct`: O_DIRECT was asked for.
Status find_limits(OpenedFile& file, bool direct);

}  // namespace lunkit::host
