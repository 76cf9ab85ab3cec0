// SPDX-License-Identifier: Apache-2.0
// LOG SENSE (SPC-5 6.8, 7.3): the supported pages and the informational exceptions, which there
// never are. Nothing is counted, so no page pretends to.
#include "scsi/commands.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::uint8_t kSupportedLogPages = 0x00;
constexpr std::uint8_t kInformationalExceptions = 0x2f;
constexpr std::uint8_t kAllSubpages = 0xff;
constexpr unsigned kSpf = 0x40;

// Page header with the length that `data` then has.
void set_page_length(ParameterData& data) {
    data.set(2, data.size() - 4, 2);
}

void supported_pages(ParameterData& data) {
    data.u8(kSupportedLogPages).u8(0).be16(0);
    data.u8(kSupportedLogPages).u8(kInformationalExceptions);
}

void supported_pages_and_subpages(ParameterData& data) {
    data.u8(kSpf | kSupportedLogPages).u8(kAllSubpages).be16(0);
    data.u8(kSupportedLogPages).u8(0);
    data.u8(kSupportedLogPages).u8(kAllSubpages);
    data.u8(kInformationalExceptions).u8(0);
}

void informational_exceptions(ParameterData& data) {
    constexpr unsigned kBinaryList = 0x03;  // FORMAT AND LINKING
    constexpr unsigned kNoTemperature = 0xff;
    data.u8(kInformationalExceptions).u8(0).be16(0);
    data.be16(0).u8(kBinaryList).u8(4);
    data.u8(0).u8(0).u8(kNoTemperature).u8(0);
}

}  // namespace

Ending log_sense(Unit& /*unit*/, Command& command) {
    const Cdb cdb(command.cdb);
    if (cdb.bit(1, 0)) {  // SP: nothing can be saved
        return invalid_field_in_cdb(1, 0);
    }
    const std::uint8_t page_code = cdb.bits(2, 5, 0);
    const std::uint8_t subpage_code = cdb.byte(3);
    ParameterData data;
    if (page_code == kSupportedLogPages && subpage_code == 0) {
        supported_pages(data);
    } else if (page_code == kSupportedLogPages && subpage_code == kAllSubpages) {
        supported_pages_and_subpages(data);
    } else if (page_code == kInformationalExceptions && subpage_code == 0) {
        informational_exceptions(data);
    } else {
        return page_code == kSupportedLogPages || page_code == kInformationalExceptions
                   ? invalid_field_in_cdb(3)
                   : invalid_field_in_cdb(2, 5);
    }
    if (cdb.be16(5) != 0) {  // PARAMETER POINTER: behind the only parameter
        return invalid_field_in_cdb(5);
    }
    set_page_length(data);
    deliver(command, data.view(), cdb.be16(7));
    return good();
}

}  // namespace lunkit::scsi
