// SPDX-License-Identifier: Apache-2.0
#include "tcmu/modules.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "core/kernel_module.hpp"

namespace lunkit::tcmu {

namespace {

constexpr const char* kModule = "target_core_user";

}  // namespace

Status ensure_tcmu(const KernelPaths& paths) {
    // The parameters show that it is there, built in or loaded.
    if (::access(paths.parameters.c_str(), F_OK) != 0) {
        if (const Status loaded = core::load_kernel_module(kModule); !loaded) {
            return failure(loaded.error().code, fmt::format("this kernel has no TCMU ({}): {}",
                                                            kModule, loaded.error().what));
        }
    }
    const std::string core = paths.configfs + "/target/core";
    if (::access(core.c_str(), F_OK) != 0) {
        return failure(errno, fmt::format("there is no {} (is configfs mounted at {}?)", core,
                                          paths.configfs));
    }
    return {};
}

}  // namespace lunkit::tcmu
