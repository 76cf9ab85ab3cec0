// SPDX-License-Identifier: Apache-2.0
// INQUIRY (SPC-5 6.7).
//
// A disk claims SPC-4 and SBC-3 in VERSION and the version descriptors. It does what SPC-5 and
// SBC-4 say where those differ for the better, but conformance suites and operating systems know
// VERSION 06h, and some take a later one for no SCSI at all.
#include "scsi/commands.hpp"
#include "scsi/parameter_data.hpp"
#include "scsi/vpd.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::size_t kStandardLength = 96;

void put_standard_data(ParameterData& data, const Unit& unit, const Identity& identity) {
    constexpr unsigned kSpc4 = 0x06;
    constexpr unsigned kResponseDataFormat = 0x02;
    constexpr unsigned kTpgsImplicit = 0x10;
    constexpr unsigned kThirdPartyCopy = 0x08;
    constexpr unsigned kCmdque = 0x02;
    constexpr unsigned kDescriptorSam5 = 0x00a0;
    constexpr unsigned kDescriptorSpc4 = 0x0460;
    constexpr unsigned kDescriptorSbc3 = 0x04c0;
    constexpr unsigned kDescriptorMmc6 = 0x04e0;
    constexpr unsigned kDescriptorZbc = 0x0620;
    constexpr unsigned kRmb = 0x80;
    const bool is_cd = unit.is_cd();
    data.u8(static_cast<unsigned>(unit.info.type));  // connected
    data.u8(is_cd ? kRmb : 0U);
    data.u8(kSpc4).u8(kResponseDataFormat).u8(kStandardLength - 5);
    data.u8(kTpgsImplicit | (is_cd || unit.is_zoned() ? 0U : kThirdPartyCopy));
    data.u8(0).u8(kCmdque);
    data.ascii(identity.vendor, 8).ascii(identity.product, 16).ascii(identity.revision, 4);
    data.zeros(22);
    data.be16(kDescriptorSam5)
        .be16(kDescriptorSpc4)
        .be16(is_cd ? kDescriptorMmc6 : kDescriptorSbc3)
        .be16(unit.is_zoned() ? kDescriptorZbc : 0U);
    data.zeros(kStandardLength - data.size());
}

}  // namespace

Task<Ending> inquiry(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    const bool evpd = cdb.bit(1, 0);
    const std::uint8_t page_code = cdb.byte(2);
    if (!evpd && page_code != 0) {
        co_return invalid_field_in_cdb(2);
    }
    const Identity identity = co_await unit.initiators.identity(queue);
    ParameterData data;
    if (!evpd) {
        put_standard_data(data, unit, identity);
    } else if (!put_vpd_page(data, page_code, unit, identity)) {
        co_return invalid_field_in_cdb(2);
    }
    deliver(command, data.view(), cdb.be16(3));
    co_return good();
}

}  // namespace lunkit::scsi
