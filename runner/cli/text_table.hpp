// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lunkit::cli {

/// Columns for a person: as wide as they need, two blanks between them.
class TextTable {
  public:
    enum class Align : std::uint8_t { kLeft, kRight };
    struct Column {
        std::string title;
        Align align = Align::kLeft;
    };

    explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
    /// As many cells as columns. Control characters are shown as '?': names come from others.
    void add(std::vector<std::string> cells);
    [[nodiscard]] std::string text() const;

  private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

/// Control characters as '?', those of ISO 6429's C1 set (U+0080 to U+009F) as well.
[[nodiscard]] std::string printable(std::string_view text);

/// "512 B", "1.5 GiB": powers of 1024, at most one decimal.
[[nodiscard]] std::string size_text(std::uint64_t bytes);

/// "870 ns", "12.3 us", "4.1 ms", "17 s": three digits at most, but for seconds.
[[nodiscard]] std::string duration_text(std::uint64_t nanoseconds);

}  // namespace lunkit::cli
