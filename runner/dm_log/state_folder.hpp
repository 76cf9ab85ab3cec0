// SPDX-License-Identifier: Apache-2.0
// StateFolder: where the bits of logs are kept, one file per log that outlives the daemon:
// <run_dir>/dm_log/<luid>.log. The kernel does not notice when a daemon dies and the next one
// comes fast: it goes on with logs that it has constructed, and the next daemon must know of each
// region that was dirty.
//
// A file begins with whose it is (the boot, luid, uuid and arguments) and with marks; from
// kBitsOffset on it is the memory of a DirtyLog, mapped by whoever serves it. It has no name before
// the log is in use, so what is found was complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/memory_mapping.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::dm_log {

/// Which log of the kernel's it is.
struct LogIdentity {
    std::uint64_t luid = 0;
    std::string uuid;       ///< shorter than abi::kUuidRoom
    std::string arguments;  ///< as CTR brought them, without a NUL; shorter than abi::kDataRoom
};

/// The memory of a log's bits, and of marks, which outlive the daemon as well.
class LogMemory {
  public:
    [[nodiscard]] std::span<std::uint64_t> words() const;
    [[nodiscard]] bool has(std::uint64_t mark) const { return (*marks() & mark) != 0; }
    void set(std::uint64_t mark) const { *marks() |= mark; }
    void clear(std::uint64_t mark) const { *marks() &= ~mark; }

  private:
    friend class StateFolder;
    [[nodiscard]] std::uint64_t* marks() const;
    UniqueFd fd_;  // until it has a name
    core::MemoryMapping mapping_;
};

class StateFolder {
  public:
    struct Found {
        LogIdentity identity;
        std::uint64_t regions = 0;
        LogMemory memory;
    };

    /// Makes <run_dir>/dm_log, which only this user may use. Files of another `boot` are of no
    /// kernel that runs.
    static Result<StateFolder> open(const std::string& run_dir, std::string boot);

    /// Zeroed memory for the bits of `regions` regions, in a file that has no name yet; its pages
    /// are taken at once. ENOSPC: there is no room for it.
    [[nodiscard]] Result<LogMemory> make(const LogIdentity& identity, std::uint64_t regions) const;
    /// From now on a successor finds it, instead of any that had the same luid.
    [[nodiscard]] Status publish(LogMemory& memory, const LogIdentity& identity) const;
    void remove(std::uint64_t luid) const;

    /// All logs that were published. What is none is removed, with a line in the log.
    [[nodiscard]] Result<std::vector<Found>> find_all() const;

    static constexpr std::size_t kBitsOffset = 1024;

    // Marks. In a file of a daemon that did not know them there are none.
    static constexpr std::uint64_t kLost = 1;    ///< the bits before these were lost
    static constexpr std::uint64_t kStored = 2;  ///< the disk log has been written since they began

  private:
    [[nodiscard]] Result<Found> find(const std::string& name) const;

    UniqueFd folder_;
    std::string boot_;
};

/// What tells this boot of the machine from others.
[[nodiscard]] Result<std::string> boot_id();

}  // namespace lunkit::dm_log
