// SPDX-License-Identifier: Apache-2.0
#include "lunkit/handler.hpp"
#include "zbc/zbc_device.hpp"
#include "zbc/zbc_options.hpp"

LUNKIT_HANDLER(lunkit::zbc::ZbcDevice, "zbc", "a host managed zoned disk in a file",
               lunkit::zbc::kConfigHelp);
