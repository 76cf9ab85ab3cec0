// SPDX-License-Identifier: Apache-2.0
#include "lunkit/handler.hpp"
#include "qcow/options.hpp"
#include "qcow/qcow_device.hpp"

LUNKIT_HANDLER(lunkit::qcow::QcowDevice, "qcow", "a disk image in the qcow2 format",
               lunkit::qcow::kConfigHelp);
