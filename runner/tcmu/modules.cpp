// SPDX-License-Identifier: Apache-2.0
#include "tcmu/modules.hpp"

#include <fmt/format.h>
#include <libkmod.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>

#include "lunkit/try.hpp"

namespace lunkit::tcmu {

namespace {

constexpr const char* kModule = "target_core_user";

struct FreeContext {
    void operator()(kmod_ctx* context) const { kmod_unref(context); }
};
struct FreeModule {
    void operator()(kmod_module* module) const { kmod_module_unref(module); }
};

std::unexpected<Error> no_tcmu(int error, const std::string& why) {
    return failure(error, fmt::format("this kernel has no TCMU ({}): {}", kModule, why));
}

Status load_module() {
    const std::unique_ptr<kmod_ctx, FreeContext> context(kmod_new(nullptr, nullptr));
    if (!context) {
        return no_tcmu(ENOENT, "its modules cannot be looked up (libkmod)");
    }
    kmod_module* found = nullptr;
    if (const int error = kmod_module_new_from_name(context.get(), kModule, &found); error < 0) {
        return no_tcmu(-error, std::generic_category().message(-error));
    }
    const std::unique_ptr<kmod_module, FreeModule> module(found);
    const int state = kmod_module_get_initstate(module.get());
    if (state == KMOD_MODULE_LIVE || state == KMOD_MODULE_BUILTIN) {
        return {};
    }
    const int error = kmod_module_probe_insert_module(module.get(), KMOD_PROBE_APPLY_BLACKLIST,
                                                      nullptr, nullptr, nullptr, nullptr);
    if (error == 0) {
        return {};
    }
    if (error == KMOD_PROBE_APPLY_BLACKLIST) {
        return no_tcmu(EPERM, "the module is blacklisted");
    }
    if (error == -ENOENT) {
        return no_tcmu(ENOENT, "there is no such module for the running kernel");
    }
    return no_tcmu(-error, "the module does not load: " + std::generic_category().message(-error));
}

}  // namespace

Status ensure_tcmu(const KernelPaths& paths) {
    // The parameters show that it is there, built in or loaded.
    if (::access(paths.parameters.c_str(), F_OK) != 0) {
        CHECK(load_module());
    }
    const std::string core = paths.configfs + "/target/core";
    if (::access(core.c_str(), F_OK) != 0) {
        return failure(errno, fmt::format("there is no {} (is configfs mounted at {}?)", core,
                                          paths.configfs));
    }
    return {};
}

}  // namespace lunkit::tcmu
