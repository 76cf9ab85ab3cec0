// SPDX-License-Identifier: Apache-2.0
// InflightFolder: where the in-flight tables are kept, one file per device that outlives the
// daemon: <run_dir>/tcmu/uio<N>.inflight. A successor that finds the file of the device it serves
// goes on where its predecessor was, however that one ended.
//
// A file begins with the device it is of (TableOwner); from kUnitOffset on it is what the logical
// unit remembers, from kTableOffset on the memory of an InflightTable. It belongs to whoever has
// the uio node open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "core/memory_mapping.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"
#include "scsi/unit_memory.hpp"

namespace lunkit::tcmu {

/// What tells a device from another one, also from a later one of the same name and number.
struct TableOwner {
    std::string name;             ///< "user_<hba>/<dev>"
    std::uint32_t device_id = 0;  ///< dev_index
    std::uint64_t node = 0;       ///< inode of its folder in sysfs
};

/// The memory of a table and of the unit, zeroed when it is new.
class TableMemory {
  public:
    TableMemory() = default;
    /// Of this process only: nobody can take over from it.
    static Result<TableMemory> anonymous(std::size_t bytes);

    [[nodiscard]] bool is_mapped() const { return !mapping_.bytes().empty(); }
    [[nodiscard]] std::span<std::byte> table() const {
        return mapping_.bytes().subspan(unit_offset_ + kUnitRoom);
    }
    [[nodiscard]] scsi::UnitMemory& unit() const {
        return *reinterpret_cast<scsi::UnitMemory*>(mapping_.bytes().data() + unit_offset_);
    }
    /// All of it, for a SigbusGuard: the file system of the folder may run out of memory.
    [[nodiscard]] std::span<std::byte> mapping() const { return mapping_.bytes(); }

    static constexpr std::size_t kUnitRoom = 8192;
    static_assert(sizeof(scsi::UnitMemory) <= kUnitRoom);

  private:
    friend class InflightFolder;
    core::MemoryMapping mapping_;
    std::size_t unit_offset_ = 0;
};

/// The folder is ours alone (mode 0700), and no link is followed in it. Any thread; of one device
/// one at a time. Of two devices with the same minor, the one that is gone does no harm to the
/// table of the other, however late it comes.
class InflightFolder {
  public:
    static constexpr std::size_t kUnitOffset = 4096;
    static constexpr std::size_t kTableOffset = kUnitOffset + TableMemory::kUnitRoom;

    /// The TableOwner::node of the device that has the minor now.
    using NodeOf = std::function<std::uint64_t(std::uint32_t minor)>;

    /// Makes <run_dir>/tcmu where it is missing. An error: it belongs to somebody else, is a link,
    /// others may write there, ...
    static Result<InflightFolder> open(const std::string& run_dir, NodeOf node_of);

    /// The file of this very device; ENOENT: there is none, or it is another's.
    Result<TableMemory> find(std::uint32_t minor, const TableOwner& owner,
                             std::size_t table_bytes) const;
    /// A new one, in the place of any that was there. ENODEV: the owner is gone.
    Result<TableMemory> make(std::uint32_t minor, const TableOwner& owner,
                             std::size_t table_bytes) const;
    /// The device is no more, or what its table says is void.
    void remove(std::uint32_t minor, std::uint64_t node) const;

  private:
    UniqueFd folder_;
    NodeOf node_of_;
    // From the look at who has the minor to the change of the file.
    std::unique_ptr<std::mutex> changing_ = std::make_unique<std::mutex>();
};

}  // namespace lunkit::tcmu
