// SPDX-License-Identifier: Apache-2.0
// Answers that need nothing but the log in memory: all requests of the data path and the questions
// of the control side. Pure.
#pragma once

#include <string_view>

#include "dm_log/dirty_log.hpp"
#include "dm_log/log_arguments.hpp"
#include "dm_log/request.hpp"

namespace lunkit::dm_log {

/// What requests are told of a log beside its bits.
struct LogText {
    std::string_view status;  ///< STATUS_INFO: "1 core"; "3 disk 8:16 A"
    std::string_view table;   ///< STATUS_TABLE: the arguments without the device's length
};

/// The answer to a request for `log`, any type but CTR, DTR and RESUME. FLUSH only marks what it
/// names; that it is durable afterwards is the caller's to see to. EINVAL: data of a wrong size, or
/// a region that there is not; nothing has changed then.
[[nodiscard]] Answer answer_for(DirtyLog& log, const LogArguments& arguments, const LogText& text,
                                const Request& request);

/// The answer to a request for a log of which nothing is known, because its memory is lost.
/// ESRCH makes the kernel construct the log again, resume it and repeat the request, with as much
/// room for the reply as this answer took: the room must be what the reply will need, or the kernel
/// takes the region for out of sync, writes on one leg only, and the legs differ silently.
[[nodiscard]] Answer unknown_log(const Request& request);

}  // namespace lunkit::dm_log
