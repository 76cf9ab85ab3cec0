// SPDX-License-Identifier: Apache-2.0
// SEND DIAGNOSTIC, RECEIVE DIAGNOSTIC RESULTS (SPC-5 6.42, 6.37) and READ DEFECT DATA (SBC-4 5.22,
// 5.23). The only diagnostic page is the list of the pages.
#include <array>

#include "scsi/buffer.hpp"
#include "scsi/commands.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr unsigned kGlistAndFormat = 0x1f;  // REQ_PLIST, REQ_GLIST, DEFECT LIST FORMAT
constexpr std::size_t kPageHeaderLength = 4;
constexpr std::uint8_t kSupportedDiagnosticPages = 0x00;

// A diagnostic page that an initiator sends: it may ask for the list, by an empty page 00h.
Ending take_page(const Command& command, const Cdb& cdb) {
    const std::uint16_t parameter_list_length = cdb.be16(3);
    if (!cdb.bit(1, 4)) {  // PF: a format of the vendor's
        return invalid_field_in_cdb(3);
    }
    if (cdb.bit(1, 2)) {  // SELFTEST, which takes no parameters
        return invalid_field_in_cdb(1, 2);
    }
    if (data_length(command) < parameter_list_length) {
        return wrong_data_out_length();
    }
    if (parameter_list_length < kPageHeaderLength) {
        return parameter_list_length_error();
    }
    std::array<std::uint8_t, kPageHeaderLength> page;
    fetch(command, 0, page);
    if (page[0] != kSupportedDiagnosticPages) {
        return invalid_field_in_parameter_list(0);
    }
    if (get_be16(std::span(page).subspan(2)) != 0) {  // PAGE LENGTH
        return invalid_field_in_parameter_list(2);
    }
    return good();
}

}  // namespace

// The default self-test reads the first block and asks for a flush: both ways to the storage.
Task<Ending> send_diagnostic(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    if (cdb.bits(1, 7, 5) != 0) {  // SELF-TEST CODE: none in the background
        co_return invalid_field_in_cdb(1, 7);
    }
    if (cdb.be16(3) != 0) {  // PARAMETER LIST LENGTH
        co_return take_page(command, cdb);
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

// Without PCV it is what the last SEND DIAGNOSTIC asked for, which is the same page.
Ending receive_diagnostic_results(Unit& /*unit*/, Command& command) {
    const Cdb cdb(command.cdb);
    if (cdb.byte(2) != kSupportedDiagnosticPages) {
        return invalid_field_in_cdb(2);
    }
    ParameterData data;
    data.u8(kSupportedDiagnosticPages).u8(0).be16(1).u8(kSupportedDiagnosticPages);
    deliver(command, data.view(), cdb.be16(3));
    return good();
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
