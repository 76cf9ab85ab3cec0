// SPDX-License-Identifier: Apache-2.0
#include "core/kernel_module.hpp"

#include <libkmod.h>

#include <cerrno>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "lunkit/try.hpp"

namespace lunkit::core {

namespace {

struct Free {
    void operator()(kmod_ctx* context) const { kmod_unref(context); }
    void operator()(kmod_module* module) const { kmod_module_unref(module); }
};

std::unexpected<Error> no_module() {
    return failure(ENODEV, "there is no such module for the running kernel");
}

/// A module of the running kernel, whether it is there or not.
class Module {
  public:
    static Result<Module> named(const std::string& name) {
        Module module;
        module.context_.reset(kmod_new(nullptr, nullptr));
        if (!module.context_) {
            return failure(ENODEV, "its modules cannot be looked up (libkmod)");
        }
        kmod_module* found = nullptr;
        if (const int error =
                kmod_module_new_from_name(module.context_.get(), name.c_str(), &found);
            error < 0) {
            return failure(ENODEV, std::generic_category().message(-error));
        }
        module.module_.reset(found);
        return module;
    }
    [[nodiscard]] kmod_module* get() const { return module_.get(); }
    [[nodiscard]] bool is_live() const {
        const int state = kmod_module_get_initstate(module_.get());
        return state == KMOD_MODULE_LIVE || state == KMOD_MODULE_BUILTIN;
    }

  private:
    std::unique_ptr<kmod_ctx, Free> context_;
    std::unique_ptr<kmod_module, Free> module_;  // goes before its context
};

}  // namespace

Status find_kernel_module(const std::string& name) {
    TRY(const Module module, Module::named(name));
    if (!module.is_live() && kmod_module_get_path(module.get()) == nullptr) {
        return no_module();
    }
    return {};
}

Status load_kernel_module(const std::string& name) {
    TRY(const Module module, Module::named(name));
    if (module.is_live()) {
        return {};
    }
    const int error = kmod_module_probe_insert_module(module.get(), KMOD_PROBE_APPLY_BLACKLIST,
                                                      nullptr, nullptr, nullptr, nullptr);
    switch (error) {
        case 0:
            return {};
        case KMOD_PROBE_APPLY_BLACKLIST:
            return failure(ENODEV, "the module is blacklisted");
        case -ENOENT:
            return no_module();
        default: {
            // EINVAL, EBADMSG, ENOEXEC: a file that is no module, or none of this kernel's.
            const bool lasts = error == -ENODEV || error == -EPERM || error == -EINVAL ||
                               error == -EBADMSG || error == -ENOEXEC || error == -EKEYREJECTED;
            return failure(lasts ? ENODEV : -error,
                           "the module does not load: " + std::generic_category().message(-error));
        }
    }
}

}  // namespace lunkit::core
