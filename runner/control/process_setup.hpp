// SPDX-License-Identifier: Apache-2.0
// What the process asks of the kernel for itself, before it has a second thread.
#pragma once

#include "lunkit/result.hpp"

namespace lunkit::control {

/// A reader of our output that goes away must not end the daemon.
void ignore_broken_pipes();

/// Each device takes a few descriptors: raises RLIMIT_NOFILE as far as it may.
void raise_file_limit();

/// One heap for all threads. malloc(3) gives each thread an arena of its own, and what devices
/// leave behind as they come and go is then kept once for each of them; and of those arenas
/// malloc_trim(3), which the worker pool calls, gives back only a part. The data path allocates
/// nothing, so that no thread waits for another here.
void share_one_heap();

/// PR_SET_THP_DISABLE: the kernel must not put a huge page where a few small ones are in use. What
/// devices have is mostly reserved and never touched (stacks, room for the largest commands), and
/// would be filled with zeros in the course of hours.
void use_small_pages();

/// PR_SET_IO_FLUSHER: memory that the kernel allocates for us must not wait for writes to devices
/// that we ourselves serve. Threads made later inherit it. Needs CAP_SYS_RESOURCE and Linux 5.6;
/// logged where it is refused.
void become_io_flusher();

/// mlockall(2) of what is touched from now on (MCL_ONFAULT). Needs CAP_IPC_LOCK; the error is for
/// people.
Status lock_memory();

/// For a daemon whose start has failed: systemd starts the next one at once, as is right after a
/// crash; what keeps a daemon from starting mostly lasts longer, and would fill the journal. Where
/// systemd waits for it (NOTIFY_SOCKET) this takes five seconds.
void let_time_pass_for_systemd();

}  // namespace lunkit::control
