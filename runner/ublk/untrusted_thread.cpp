// SPDX-License-Identifier: Apache-2.0
#include "ublk/untrusted_thread.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "core/log.hpp"

namespace lunkit::ublk {

void give_up_administration() {
    // capset(2) itself, and not libcap: it is about this thread and no other.
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    bool done = ::syscall(SYS_capget, &header, sets.data()) == 0;
    if (done) {
        constexpr auto kBit = 1U << CAP_SYS_ADMIN;
        sets[0].effective &= ~kBit;
        sets[0].permitted &= ~kBit;
        sets[0].inheritable &= ~kBit;
        done = ::syscall(SYS_capset, &header, sets.data()) == 0;
    }
    if (!done) {
        core::log(
            core::LogLevel::kWarning, {},
            "cannot give up CAP_SYS_ADMIN on a queue of ublk ({}): a daemon that dies while a "
            "device starts may leave ublk dead until the next boot",
            std::generic_category().message(errno));
    }
}

}  // namespace lunkit::ublk
