// SPDX-License-Identifier: Apache-2.0
// What the process asks of the kernel for itself, before it has a second thread.
#pragma once

#include "lunkit/result.hpp"

namespace lunkit::control {

/// A reader of our output that goes away must not end the daemon.
void ignore_broken_pipes();

/// Each device takes a few descriptors: raises RLIMIT_NOFILE as far as it may.
void raise_file_limit();

/// PR_SET_IO_FLUSHER: memory that the kernel allocates for us must not wait for writes to devices
/// that we ourselves serve. Threads made later inherit it. Needs CAP_SYS_RESOURCE and Linux 5.6;
/// logged where it is refused.
void become_io_flusher();

/// mlockall(2) of what is touched from now on (MCL_ONFAULT). Needs CAP_IPC_LOCK; the error is for
/// people.
Status lock_memory();

}  // namespace lunkit::control
