// SPDX-License-Identifier: Apache-2.0
#include "tcmu/command_kind.hpp"

namespace lunkit::tcmu {

namespace {

// VARIABLE LENGTH CDB: SERVICE ACTION in bytes 8 and 9.
CommandKind kind_of_variable_length(std::span<const std::uint8_t> cdb) {
    if (cdb.size() < 10) {
        return CommandKind::kOther;
    }
    switch (cdb[8] << 8U | cdb[9]) {
        case 0x0009:  // READ(32)
            return CommandKind::kRead;
        case 0x000b:  // WRITE(32)
        case 0x000c:  // WRITE AND VERIFY(32)
            return CommandKind::kWrite;
        case 0x000a:  // VERIFY(32)
        case 0x000d:  // WRITE SAME(32)
        case 0x000e:  // ORWRITE(32)
            return CommandKind::kDataOut;
        default:
            return CommandKind::kOther;
    }
}

}  // namespace

CommandKind kind_of(std::span<const std::uint8_t> cdb) {
    switch (cdb[0]) {
        case 0x7f:
            return kind_of_variable_length(cdb);
        case 0x9f:  // SERVICE ACTION OUT(16): WRITE SCATTERED(16)
            return cdb.size() > 1 && (cdb[1] & 0x1fU) == 0x12 ? CommandKind::kDataOut
                                                              : CommandKind::kOther;
        case 0x08:  // READ(6)
        case 0x28:  // READ(10)
        case 0xa8:  // READ(12)
        case 0x88:  // READ(16)
            return CommandKind::kRead;
        case 0x0a:  // WRITE(6)
        case 0x2a:  // WRITE(10)
        case 0xaa:  // WRITE(12)
        case 0x8a:  // WRITE(16)
        case 0x2e:  // WRITE AND VERIFY(10)
        case 0xae:  // WRITE AND VERIFY(12)
        case 0x8e:  // WRITE AND VERIFY(16)
            return CommandKind::kWrite;
        case 0x04:  // FORMAT UNIT
        case 0x15:  // MODE SELECT(6)
        case 0x55:  // MODE SELECT(10)
        case 0x1d:  // SEND DIAGNOSTIC
        case 0x2f:  // VERIFY(10)
        case 0xaf:  // VERIFY(12)
        case 0x8f:  // VERIFY(16)
        case 0x3b:  // WRITE BUFFER
        case 0x41:  // WRITE SAME(10)
        case 0x93:  // WRITE SAME(16)
        case 0x42:  // UNMAP
        case 0x48:  // SANITIZE
        case 0x4c:  // LOG SELECT
        case 0x5f:  // PERSISTENT RESERVE OUT
        case 0x83:  // EXTENDED COPY and its kin
        case 0x89:  // COMPARE AND WRITE
        case 0x8b:  // ORWRITE(16)
        case 0x9c:  // WRITE ATOMIC(16)
        case 0xa4:  // MAINTENANCE OUT
        case 0xb5:  // SECURITY PROTOCOL OUT
            return CommandKind::kDataOut;
        default:
            return CommandKind::kOther;
    }
}

bool is_rewrite(std::span<const std::uint8_t> cdb) {
    return cdb[0] == 0x04 || cdb[0] == 0x48;
}

}  // namespace lunkit::tcmu
