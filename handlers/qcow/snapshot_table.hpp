// SPDX-License-Identifier: Apache-2.0
// Internal snapshots (qcow2.rst "Snapshots"): the table of them, checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lunkit/result.hpp"
#include "qcow/header.hpp"
#include "qcow/image_file.hpp"

namespace lunkit::qcow {

struct Snapshot {
    std::uint64_t l1_table_offset = 0;
    std::uint32_t l1_size = 0;    ///< entries
    std::uint64_t disk_size = 0;  ///< bytes
    std::string id;
    std::string name;
};

struct SnapshotTable {
    std::vector<Snapshot> snapshots;
    std::uint64_t bytes = 0;  ///< of the table in the file
};

/// `table`: the bytes at header.snapshots_offset, as far as the file or the limit goes.
[[nodiscard]] Result<SnapshotTable> parse_snapshots(std::span<const std::byte> table,
                                                    const Header& header, std::uint64_t file_size);

/// The table of an image that has snapshots. Worker thread; blocks.
[[nodiscard]] Result<SnapshotTable> read_snapshots(const ImageFile& file, const Header& header);

/// By id, else by name; nullptr when there is none.
[[nodiscard]] const Snapshot* find_snapshot(const SnapshotTable& table, std::string_view wanted);

}  // namespace lunkit::qcow
