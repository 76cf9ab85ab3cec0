// SPDX-License-Identifier: Apache-2.0
#include "control/config_check.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "control/glib_handle.hpp"

namespace lunkit::control {
namespace {

constexpr std::size_t kMaxConfigLength = 255;  // TCMU_CONFIG_LEN less its NUL

}  // namespace

Status check_config_string(std::string_view config) {
    const std::size_t slash = config.find('/');
    if (slash == std::string_view::npos || slash == 0) {
        return failure(EINVAL, "a configuration is <handler>/<path or name>[;key=value]...");
    }
    if (config.size() > kMaxConfigLength) {
        return failure(EINVAL, fmt::format("the configuration has {} bytes, the kernel takes {}",
                                           config.size(), kMaxConfigLength));
    }
    for (const char c : config) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) {
            return failure(EINVAL, "the configuration contains a control character");
        }
        if (c == ',') {
            return failure(EINVAL,
                           "a ',' ends the value in the kernel's control file; "
                           "use another name");
        }
        if (c == ':' || c == ' ') {
            return failure(EINVAL, fmt::format("targetcli cannot save and restore a configuration "
                                               "with '{}'; use another name",
                                               c));
        }
    }
    return {};
}

void ConfigCheck::run(const std::string& config, bool syntax_only, Done done) {
    if (Status status = check_config_string(config); !status) {
        post_to_loop([done = std::move(done), status = std::move(status)]() mutable {
            done(std::move(status));
        });
        return;
    }
    const std::string handler = config.substr(0, config.find('/'));
    BlockingCalls::Limit limit{
        limit_, fmt::format("check timed out: handler '{}' has not answered within {} ms; its "
                            "storage may hang",
                            handler, limit_.count())};
    calls_.run(
        handler, std::move(limit),
        [&handlers = handlers_, config, syntax_only] {
            return handlers.check_config(config, syntax_only);
        },
        std::move(done));
}

}  // namespace lunkit::control
