// SPDX-License-Identifier: Apache-2.0
#include "control/process_setup.hpp"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <system_error>
#include <thread>

#include "core/log.hpp"
#include "core/system_failure.hpp"

namespace lunkit::control {
namespace {

constexpr rlim_t kWantedFiles = 1 << 20;
constexpr std::chrono::seconds kPauseOfFailedStart{5};
#ifndef PR_SET_IO_FLUSHER
constexpr int PR_SET_IO_FLUSHER = 57;
#endif

}  // namespace

void ignore_broken_pipes() {
    (void)std::signal(SIGPIPE, SIG_IGN);
}

void raise_file_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    rlimit wanted = limit;
    wanted.rlim_max = std::max(limit.rlim_max, kWantedFiles);
    wanted.rlim_cur = wanted.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0) {
        return;
    }
    wanted.rlim_max = limit.rlim_max;
    wanted.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &wanted) != 0) {
        core::log(core::LogLevel::kWarning, {}, "the limit of open files stays at {}: {}",
                  limit.rlim_cur, std::generic_category().message(errno));
    }
}

void share_one_heap() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread exists yet
    (void)::mallopt(M_ARENA_MAX, 1);
}

void use_small_pages() {
    if (::prctl(PR_SET_THP_DISABLE, 1UL, 0UL, 0UL, 0UL) != 0) {
        core::log(core::LogLevel::kInfo, {},
                  "PR_SET_THP_DISABLE: {}; the kernel may give the daemon memory it does not use",
                  std::generic_category().message(errno));
    }
}

void become_io_flusher() {
    if (::prctl(PR_SET_IO_FLUSHER, 1UL, 0UL, 0UL, 0UL) != 0) {
        core::log(core::LogLevel::kInfo, {},
                  "PR_SET_IO_FLUSHER: {}; under memory pressure the daemon may wait for itself",
                  std::generic_category().message(errno));
    }
}

void let_time_pass_for_systemd() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes it
    if (std::getenv("NOTIFY_SOCKET") != nullptr) {
        std::this_thread::sleep_for(kPauseOfFailedStart);
    }
}

Status lock_memory() {
    if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
        return core::system_failure("cannot lock memory");
    }
    return {};
}

}  // namespace lunkit::control
