// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace lunkit::ublk {

/// Gives up CAP_SYS_ADMIN on the calling thread, and so on those that it makes. A device of which
/// the kernel got a tag from such a thread is not scanned for partitions inside START_DEV: a scan
/// that waits there for a daemon that has died leaves ublk dead until the next boot (Linux 6.12).
/// Logged where it fails.
void give_up_administration();

}  // namespace lunkit::ublk
