// SPDX-License-Identifier: Apache-2.0
#include "cli/error_text.hpp"

#include <array>
#include <cstddef>
#include <string_view>

namespace lunkit::cli {

std::string error_text(const std::string& error) {
    // SPC-5 4.5.6, table 49.
    constexpr std::array kSenseKeys = {
        "NO SENSE",       "RECOVERED ERROR", "NOT READY",      "MEDIUM ERROR",
        "HARDWARE ERROR", "ILLEGAL REQUEST", "UNIT ATTENTION", "DATA PROTECT",
        "BLANK CHECK",    "VENDOR SPECIFIC", "COPY ABORTED",   "ABORTED COMMAND",
        "reserved",       "VOLUME OVERFLOW", "MISCOMPARE",     "COMPLETED"};
    constexpr std::string_view kDigits = "0123456789abcdef";
    if (error.size() != 8 || error[0] != '0' || error[2] != '/') {
        return error;
    }
    const std::size_t key = kDigits.find(error[1]);
    return key < kSenseKeys.size() ? error + " " + kSenseKeys[key] : error;
}

}  // namespace lunkit::cli
