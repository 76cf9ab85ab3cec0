// SPDX-License-Identifier: Apache-2.0
// RecordFolder: small files by which a daemon tells the next one what it has, in a folder of
// run_dir that is ours alone (mode 0700); no link in it is followed. Any thread; of one file one at
// a time.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::core {

class RecordFolder {
  public:
    /// Makes <run_dir>/<name> where it is missing. An error: it belongs to somebody else, is a
    /// link, ...
    static Result<RecordFolder> open(const std::string& run_dir, const std::string& name);

    /// Replaces the file. Whenever the daemon dies, what was there or what is written is, whole.
    [[nodiscard]] Status write(const std::string& file, std::string_view bytes) const;
    /// EPERM: it is not a regular file of ours. EFBIG: it has more than `most` bytes.
    [[nodiscard]] Result<std::string> read(const std::string& file, std::size_t most) const;
    [[nodiscard]] bool has(const std::string& file) const;
    /// It need not be there.
    void remove(const std::string& file) const;
    /// The files whose names end so.
    [[nodiscard]] Result<std::vector<std::string>> list(std::string_view suffix) const;

  private:
    UniqueFd folder_;
};

}  // namespace lunkit::core
