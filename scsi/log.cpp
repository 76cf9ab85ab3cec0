// SPDX-License-Identifier: Apache-2.0
// LOG SENSE and LOG SELECT (SPC-5 6.8, 6.7, 7.3): the error counters of which something is known,
// how much room a thin unit has, and the informational exceptions, which there never are.
#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "scsi/commands.hpp"
#include "scsi/errno_sense.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::uint8_t kSupportedLogPages = 0x00;
constexpr std::uint8_t kLogicalBlockProvisioning = 0x0c;
constexpr std::uint8_t kInformationalExceptions = 0x2f;
constexpr unsigned kBinaryList = 0x03;  // FORMAT AND LINKING
constexpr std::uint8_t kAllSubpages = 0xff;
constexpr unsigned kSpf = 0x40;

/// PC. Thresholds are as high as they can be: nothing happens at one.
enum class LogPageControl : std::uint8_t { kThreshold, kCumulative, kDefaultThreshold, kDefault };

struct ErrorCounterPage {
    std::uint8_t page_code;
    ErrorCounters LogCounters::* counters;
};
constexpr std::array<ErrorCounterPage, 3> kErrorCounterPages{{
    {0x02, &LogCounters::write},
    {0x03, &LogCounters::read},
    {0x05, &LogCounters::verify},
}};

const ErrorCounterPage* find_error_counters(std::uint8_t page_code) {
    const auto* const found =
        std::ranges::find(kErrorCounterPages, page_code, &ErrorCounterPage::page_code);
    return found == kErrorCounterPages.end() ? nullptr : found;
}

/// Nothing: there is such a page.
std::optional<Ending> check_page(const Unit& unit, std::uint8_t page_code,
                                 std::uint8_t subpage_code) {
    const bool is_there = page_code == kSupportedLogPages ||
                          page_code == kInformationalExceptions ||
                          find_error_counters(page_code) != nullptr ||
                          (page_code == kLogicalBlockProvisioning && has_thresholds(unit));
    if (!is_there) {
        return invalid_field_in_cdb(2, 5);
    }
    if (subpage_code != 0 && (page_code != kSupportedLogPages || subpage_code != kAllSubpages)) {
        return invalid_field_in_cdb(3);
    }
    return {};
}

/// Each page code, followed by its subpage code if the list is one of subpages.
void list_pages(ParameterData& data, const Unit& unit, bool with_subpages) {
    data.u8(with_subpages ? kSpf | kSupportedLogPages : kSupportedLogPages);
    data.u8(with_subpages ? kAllSubpages : 0U).be16(0);
    const auto put = [&](std::uint8_t page_code, std::uint8_t subpage_code = 0) {
        data.u8(page_code);
        if (with_subpages) {
            data.u8(subpage_code);
        }
    };
    put(kSupportedLogPages);
    if (with_subpages) {
        put(kSupportedLogPages, kAllSubpages);
    }
    for (const ErrorCounterPage& page : kErrorCounterPages) {
        put(page.page_code);
    }
    if (has_thresholds(unit)) {
        put(kLogicalBlockProvisioning);
    }
    put(kInformationalExceptions);
}

// The pages with parameters: from PARAMETER POINTER on. False: there is none.

bool informational_exceptions(ParameterData& data, std::uint16_t pointer) {
    constexpr unsigned kNoTemperature = 0xff;
    data.u8(kInformationalExceptions).u8(0).be16(0);
    data.be16(0).u8(kBinaryList).u8(4);
    data.u8(0).u8(0).u8(kNoTemperature).u8(0);
    return pointer == 0;
}

// SBC-4 6.4.5.
bool logical_block_provisioning(ParameterData& data, const Space& space, std::uint16_t pointer) {
    constexpr std::uint16_t kAvailableLbaMappingResourceCount = 0x0001;
    constexpr std::uint16_t kUsedLbaMappingResourceCount = 0x0002;
    constexpr unsigned kDedicated = 0x01;  // SCOPE
    constexpr unsigned kNotDedicated = 0x02;
    const auto put = [&](std::uint16_t parameter_code, std::uint64_t bytes, unsigned scope) {
        if (parameter_code >= pointer) {
            data.be16(parameter_code).u8(kBinaryList).u8(8);
            data.be32(resource_count(bytes)).u8(scope).zeros(3);
        }
    };
    data.u8(kLogicalBlockProvisioning).u8(0).be16(0);
    put(kAvailableLbaMappingResourceCount, space.available,
        space.shared ? kNotDedicated : kDedicated);
    put(kUsedLbaMappingResourceCount, space.used, kDedicated);
    return pointer <= kUsedLbaMappingResourceCount;
}

bool error_counters(ParameterData& data, std::uint8_t page_code, const ErrorCounters& counters,
                    LogPageControl control, std::uint16_t pointer) {
    constexpr std::uint16_t kTotalBytesProcessed = 0x0005;
    constexpr std::uint16_t kTotalUncorrectedErrors = 0x0006;
    constexpr unsigned kTsd = 0x20;  // nothing is saved; FORMAT AND LINKING: a bounded counter
    const auto put = [&](std::uint16_t parameter_code, std::uint64_t count) {
        if (parameter_code < pointer) {
            return;
        }
        data.be16(parameter_code).u8(kTsd).u8(8);
        switch (control) {
            case LogPageControl::kCumulative:
                data.be64(count);
                break;
            case LogPageControl::kDefault:
                data.be64(0);
                break;
            default:
                data.be64(std::numeric_limits<std::uint64_t>::max());
                break;
        }
    };
    data.u8(page_code).u8(0).be16(0);
    put(kTotalBytesProcessed, counters.bytes_processed);
    put(kTotalUncorrectedErrors, counters.uncorrected_errors);
    return pointer <= kTotalUncorrectedErrors;
}

}  // namespace

Task<Ending> log_sense(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    if (cdb.bit(1, 0)) {  // SP: nothing can be saved
        co_return invalid_field_in_cdb(1, 0);
    }
    const auto control = static_cast<LogPageControl>(cdb.bits(2, 7, 6));
    const std::uint8_t page_code = cdb.bits(2, 5, 0);
    const std::uint8_t subpage_code = cdb.byte(3);
    const std::uint16_t parameter_pointer = cdb.be16(5);
    if (const auto refusal = check_page(unit, page_code, subpage_code)) {
        co_return *refusal;
    }
    ParameterData data;
    bool is_pointed_at = parameter_pointer == 0;
    if (const ErrorCounterPage* const page = find_error_counters(page_code)) {
        is_pointed_at =
            error_counters(data, page_code, unit.log.*(page->counters), control, parameter_pointer);
    } else if (page_code == kLogicalBlockProvisioning) {
        const Result<Space> space = co_await unit.device.space(queue);
        if (!space) {
            co_return ending_of(space.error(), FailedOperation{Direction::kRead});
        }
        is_pointed_at = logical_block_provisioning(data, *space, parameter_pointer);
    } else if (page_code == kInformationalExceptions) {
        is_pointed_at = informational_exceptions(data, parameter_pointer);
    } else {
        list_pages(data, unit, subpage_code != 0);
    }
    if (!is_pointed_at) {
        co_return invalid_field_in_cdb(5);
    }
    data.set(2, data.size() - 4, 2);  // PAGE LENGTH
    deliver(command, data.view(), cdb.be16(7));
    co_return good();
}

// No parameter can be given a value, so all it can do is to set counters back: all of them by page
// 00h, as far as PCR or the default values of PC ask for it (SPC-5 table 162).
Ending log_select(Unit& unit, Command& command) {
    const Cdb cdb(command.cdb);
    if (cdb.bit(1, 0)) {  // SP
        return invalid_field_in_cdb(1, 0);
    }
    const std::uint8_t page_code = cdb.bits(2, 5, 0);
    if (const auto refusal = check_page(unit, page_code, cdb.byte(3))) {
        return *refusal;
    }
    if (cdb.be16(7) != 0) {  // PARAMETER LIST LENGTH
        return invalid_field_in_cdb(7);
    }
    const bool pcr = cdb.bit(1, 1);
    if (!pcr && static_cast<LogPageControl>(cdb.bits(2, 7, 6)) != LogPageControl::kDefault) {
        return good();
    }
    for (const ErrorCounterPage& page : kErrorCounterPages) {
        if (page_code == kSupportedLogPages || page_code == page.page_code) {
            unit.log.*(page.counters) = {};
        }
    }
    return good();
}

}  // namespace lunkit::scsi
