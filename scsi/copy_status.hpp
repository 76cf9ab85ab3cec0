// SPDX-License-Identifier: Apache-2.0
// How a copy stands, as parameter data tells it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "scsi/copy_results.hpp"
#include "scsi/parameter_data.hpp"
#include "scsi/sense.hpp"
#include "scsi/unit.hpp"

namespace lunkit::scsi {

/// The sense data that a copy has ended with; none if it runs or did not end with CHECK CONDITION.
struct CopySense {
    CopySense(const Unit& unit, const CopyResult& result);
    [[nodiscard]] std::span<const std::uint8_t> view() const {
        return std::span(bytes_).first(length_);
    }

  private:
    std::array<std::uint8_t, kMaxSenseLength> bytes_;
    std::size_t length_ = 0;
};

/// What RECEIVE COPY STATUS(LID4) and RECEIVE ROD TOKEN INFORMATION begin with (SPC-4 6.24, 6.26):
/// 32 bytes and the sense data. AVAILABLE DATA is left 0.
void put_copy_status(ParameterData& data, const Unit& unit, const CopyResult& result);

}  // namespace lunkit::scsi
