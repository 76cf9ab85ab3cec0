// SPDX-License-Identifier: Apache-2.0
// Names that stand inside an image. They come from whoever made the image, so they are a path and
// nothing else, and lead to a place beneath one folder.
#pragma once

#include <string>
#include <string_view>

#include "lunkit/result.hpp"

namespace lunkit::qcow {

/// `name` as a path relative to `base` (absolute, no trailing slash). `folder`: that of the image
/// which has the name, relative to `base`, "" for `base` itself. ".." is resolved by the text
/// alone, which is right because symbolic links are refused when the path is opened. EPERM: leads
/// out.
[[nodiscard]] Result<std::string> confined_path(std::string_view base, std::string_view folder,
                                                std::string_view name);

/// The part before the last '/'; "" when there is none.
[[nodiscard]] std::string_view folder_of(std::string_view path);

}  // namespace lunkit::qcow
