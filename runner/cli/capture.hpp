// SPDX-License-Identifier: Apache-2.0
// Capture: a trace as a file that Wireshark reads (pcapng).
//
// There is no link type of SCSI alone, and what a device is asked by the kernel has travelled over
// no wire. So each command is shown as two packets of an iSCSI session (RFC 7143 in TCP in IPv4):
// the command, at the time when the daemon fetched it, and its response, at the time when it ended.
// Analysers pair those two better than with any thinner transport. The file says so itself.
// Addresses (of those for documentation, RFC 5737) and all numbers of IP, TCP and iSCSI are made
// up; there are no packets for data. A request of the block layer, which has no CDB, is shown as
// the command that asks a disk for the same.
#pragma once

#include <cstdint>
#include <string>

#include "core/trace.hpp"

namespace lunkit::cli {

class Capture {
  public:
    struct Device {
        std::string name;       ///< as list shows it
        std::string front_end;  ///< tcmu: its requests have CDBs; those of the others have not
        std::uint64_t block_size = 0;
    };
    explicit Capture(Device device) : device_(std::move(device)) {}

    // Bytes of the file, in this order.
    [[nodiscard]] std::string begin() const;
    /// Two packets; with word of commands that are missing() before them.
    [[nodiscard]] std::string command(const core::TraceRecord& record);
    /// Commands were lost: the next one tells, or end().
    void missing(std::uint64_t commands) { missing_ += commands; }
    /// How many were shown, how many were lost. More may follow all the same.
    [[nodiscard]] std::string end() const;

    [[nodiscard]] bool has_cdbs() const { return device_.front_end == "tcmu"; }

  private:
    Device device_;
    std::uint64_t shown_ = 0;
    std::uint64_t missing_ = 0;  ///< and not told by a packet yet
    std::uint64_t told_missing_ = 0;
    std::uint64_t last_time_ = 0;  ///< nanoseconds
    std::uint32_t asked_ = 0;      ///< bytes of the stream to the device
    std::uint32_t answered_ = 0;   ///< and of that from it
};

}  // namespace lunkit::cli
