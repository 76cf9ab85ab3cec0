// SPDX-License-Identifier: Apache-2.0
#include "cli/text_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace lunkit::cli {

void TextTable::add(std::vector<std::string> cells) {
    for (std::string& cell : cells) {
        cell = printable(cell);
    }
    cells.resize(columns_.size());
    rows_.push_back(std::move(cells));
}

std::string TextTable::text() const {
    // Columns are counted in characters of UTF-8, not in bytes.
    std::vector<std::size_t> widths;
    const auto width_of = [](const std::string& cell) {
        return static_cast<std::size_t>(
            std::ranges::count_if(cell, [](char c) { return (c & '\xC0') != '\x80'; }));
    };
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        std::size_t width = columns_[i].title.size();
        for (const auto& row : rows_) {
            width = std::max(width, width_of(row[i]));
        }
        widths.push_back(width);
    }
    std::string out;
    const auto append_cell = [&](std::size_t i, const std::string& cell) {
        const std::string padding(widths[i] - width_of(cell), ' ');
        out += columns_[i].align == Align::kLeft ? cell + padding : padding + cell;
        out += "  ";
    };
    const auto end_line = [&out] {
        out.erase(out.find_last_not_of(' ') + 1);
        out += '\n';
    };
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        append_cell(i, columns_[i].title);
    }
    end_line();
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            append_cell(i, row[i]);
        }
        end_line();
    }
    return out;
}

std::string printable(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
        const bool is_c1 = byte == 0xc2 && next >= 0x80 && next < 0xa0;
        out += byte < 0x20 || byte == 0x7f || is_c1 ? '?' : text[i];
        i += is_c1 ? 1 : 0;
    }
    return out;
}

std::string size_text(std::uint64_t bytes) {
    constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    std::size_t unit = 0;
    std::uint64_t divisor = 1;
    while (unit + 1 < kUnits.size() && bytes / divisor >= 1024) {
        divisor *= 1024;
        ++unit;
    }
    if (bytes % divisor == 0) {
        return fmt::format("{} {}", bytes / divisor, kUnits[unit]);
    }
    return fmt::format("{:.1f} {}", static_cast<double>(bytes) / static_cast<double>(divisor),
                       kUnits[unit]);
}

std::string duration_text(std::uint64_t nanoseconds) {
    struct Unit {
        double nanoseconds;
        const char* name;
    };
    constexpr std::array kUnits = {Unit{1e9, "s"}, Unit{1e6, "ms"}, Unit{1e3, "us"}};
    const auto time = static_cast<double>(nanoseconds);
    for (const Unit& unit : kUnits) {
        const double value = time / unit.nanoseconds;
        if (value >= 1) {
            return fmt::format("{:.{}f} {}", value, value < 100 ? 1 : 0, unit.name);
        }
    }
    return fmt::format("{} ns", nanoseconds);
}

}  // namespace lunkit::cli
