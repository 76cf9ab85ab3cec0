// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "lunkit/result.hpp"
#include "tcmu/configfs.hpp"

namespace lunkit::tcmu {

/// Sees to it that the kernel has TCMU: loads target_core_user where it is a module that is not
/// loaded yet, and checks that configfs is there. The error is for the operator.
Status ensure_tcmu(const KernelPaths& paths);

}  // namespace lunkit::tcmu
