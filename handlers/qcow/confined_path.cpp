// SPDX-License-Identifier: Apache-2.0
#include "qcow/confined_path.hpp"

#include <cerrno>
#include <vector>

#include <fmt/format.h>

namespace lunkit::qcow {

std::string_view folder_of(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

Result<std::string> confined_path(std::string_view base, std::string_view folder,
                                  std::string_view name) {
    const std::size_t colon = name.find(':');
    if (colon != std::string_view::npos && colon < name.find('/')) {
        return failure(ENOTSUP, fmt::format("'{}' names a protocol; only paths are served", name));
    }
    std::string joined;
    if (!name.starts_with('/')) {
        joined = fmt::format("{}/{}", folder, name);
    } else if (name.starts_with(base) && name.substr(base.size()).starts_with('/')) {
        joined = name.substr(base.size());
    } else {
        return failure(EPERM, fmt::format("'{}' lies outside of {}", name, base));
    }
    std::vector<std::string_view> parts;
    for (std::string_view rest = joined; !rest.empty();) {
        const std::size_t slash = rest.find('/');
        const std::string_view part = rest.substr(0, slash);
        rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
        if (part == "..") {
            if (parts.empty()) {
                return failure(EPERM, fmt::format("'{}' lies outside of {}", name, base));
            }
            parts.pop_back();
        } else if (!part.empty() && part != ".") {
            parts.push_back(part);
        }
    }
    if (parts.empty()) {
        return failure(EINVAL, fmt::format("'{}' names no file", name));
    }
    return fmt::format("{}", fmt::join(parts, "/"));
}

}  // namespace lunkit::qcow
