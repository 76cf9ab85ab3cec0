// SPDX-License-Identifier: Apache-2.0
// What an image tells about itself, for people and scripts.
#pragma once

#include <string>

#include "lunkit/facts.hpp"
#include "lunkit/handler.h"
#include "lunkit/result.hpp"
#include "qcow/disk.hpp"

namespace lunkit::qcow {

/// From the header and the table of snapshots alone: what the image names is not opened, nothing is
/// locked. Worker thread; blocks. Errors are sentences that name the file and the field.
[[nodiscard]] Result<Facts> describe_image(const lunkit_host& host, const std::string& path);

void append_verdict(Facts& facts, const Verdict& verdict);

}  // namespace lunkit::qcow
