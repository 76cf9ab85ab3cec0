// SPDX-License-Identifier: Apache-2.0
#include "qcow/bitmap_directory.hpp"

#include "qcow/big_endian.hpp"

namespace lunkit::qcow {

bool mark_bitmaps_in_use(std::span<std::byte> directory, std::uint32_t count) {
    // bitmap_table_offset u64, bitmap_table_size u32, flags u32, type u8, granularity_bits u8,
    // name_size u16, extra_data_size u32, extra data, name, padding to 8
    constexpr std::uint64_t kFixedBytes = 24;
    constexpr std::size_t kFlags = 12;
    constexpr std::uint32_t kInUse = 1;
    for (std::uint32_t i = 0; i < count; ++i) {
        if (directory.size() < kFixedBytes) {
            return false;
        }
        std::byte* const entry = directory.data();
        const std::uint64_t length =
            kFixedBytes + load_be<std::uint32_t>(entry + 20) + load_be<std::uint16_t>(entry + 18);
        const std::uint64_t padded = (length + 7) / 8 * 8;
        if (directory.size() < padded) {
            return false;
        }
        store_be(entry + kFlags, load_be<std::uint32_t>(entry + kFlags) | kInUse);
        directory = directory.subspan(padded);
    }
    return directory.empty();
}

}  // namespace lunkit::qcow
