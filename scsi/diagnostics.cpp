// SPDX-License-Identifier: Apache-2.0
// SEND DIAGNOSTIC and READ DEFECT DATA (SPC-5 6.42, SBC-4 5.22, 5.23).
#include "scsi/buffer.hpp"
#include "scsi/commands.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr unsigned kGlistAndFormat = 0x1f;  // REQ_PLIST, REQ_GLIST, DEFECT LIST FORMAT

}  // namespace

// The default self-test reads the first block and asks for a flush: both ways to the storage.
Task<Ending> send_diagnostic(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    if (cdb.bits(1, 7, 5) != 0) {  // SELF-TEST CODE: none in the background
        co_return invalid_field_in_cdb(1, 7);
    }
    if (cdb.be16(3) != 0) {  // PARAMETER LIST LENGTH: no diagnostic pages
        co_return invalid_field_in_cdb(3);
    }
    const bool self_test = cdb.bit(1, 2);
    if (!self_test || unit.capacity_blocks() == 0) {
        co_return good();
    }
    Buffer buffer(unit.options.block_size);
    if (!buffer) {
        co_return busy();
    }
    SingleData block(buffer.bytes());
    IoRequest io(0, block, Unit::io_flags(command));
    io.tag = command.tag;
    const Status read = co_await unit.device.read(queue, io);
    if (read) {
        const Status flushed = co_await unit.device.flush(queue);
        if (flushed) {
            co_return good();
        }
    }
    co_return check_condition(SenseKey::kHardwareError, asc::kLogicalUnitFailedSelfTest);
}

// The unit knows of no defects: the lists are empty in whatever format they are asked for.
Ending read_defect_data_10(Unit& /*unit*/, Command& command) {
    const Cdb cdb(command.cdb);
    ParameterData data;
    data.u8(0).u8(cdb.byte(2) & kGlistAndFormat).be16(0);
    deliver(command, data.view(), cdb.be16(7));
    return good();
}

Ending read_defect_data_12(Unit& /*unit*/, Command& command) {
    const Cdb cdb(command.cdb);
    ParameterData data;
    data.u8(0).u8(cdb.byte(1) & kGlistAndFormat).be16(0).be32(0);
    deliver(command, data.view(), cdb.be32(6));
    return good();
}

}  // namespace lunkit::scsi
