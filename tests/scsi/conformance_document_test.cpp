// SPDX-License-Identifier: Apache-2.0
// docs/conformance.md lists the operation codes of the unit: all of them, and no others.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <set>
#include <string>

#include "scsi/opcodes.hpp"

namespace lunkit::scsi::test {
namespace {

/// What stands in backticks in the first column of the table under "## Operation codes".
std::multiset<std::string> documented() {
    std::ifstream document(CONFORMANCE_DOCUMENT);
    std::multiset<std::string> codes;
    std::string line;
    bool is_there = false;
    while (std::getline(document, line)) {
        if (line.starts_with("## ")) {
            is_there = line == "## Operation codes";
        }
        if (!is_there || !line.starts_with("| `")) {
            continue;
        }
        const std::string column = line.substr(0, line.find('|', 1));
        for (std::size_t at = 0; (at = column.find('`', at)) != std::string::npos;) {
            const std::size_t end = column.find('`', at + 1);
            codes.insert(column.substr(at + 1, end - at - 1));
            at = end + 1;
        }
    }
    return codes;
}

std::string code_of(const Opcode& opcode) {
    char text[16];
    if (opcode.service_action) {
        (void)snprintf(text, sizeof text, "%02x/%0*x", opcode.operation_code,
                       opcode.has_variable_length() ? 4 : 2, *opcode.service_action);
    } else {
        (void)snprintf(text, sizeof text, "%02x", opcode.operation_code);
    }
    return text;
}

TEST(ConformanceDocument, NamesEveryOperationCodeOnce) {
    std::multiset<std::string> codes;
    for (const Opcode& opcode : all_opcodes()) {
        codes.insert(code_of(opcode));
    }
    EXPECT_EQ(documented(), codes);
}

}  // namespace
}  // namespace lunkit::scsi::test
