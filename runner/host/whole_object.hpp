// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "lunkit/result.hpp"

namespace lunkit::host {

/// Whether the shared object at `path` is as long as its own program header table says (ELF gABI,
/// "Program Header"). The dynamic linker maps the segments of one that was cut short, by a full
/// disk for instance, and dies of SIGBUS behind its end. ENOEXEC: it is cut short. What is no ELF
/// object of this machine's class passes: that is for dlopen() to say.
Status check_whole_object(const std::string& path);

}  // namespace lunkit::host
