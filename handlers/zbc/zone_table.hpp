// SPDX-License-Identifier: Apache-2.0
// ZoneTable: the records of all zones, in memory and in the file (zone_format.hpp). One thread,
// that of the device's queue, but for what is said to block.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lunkit/file.hpp"
#include "lunkit/queue.hpp"
#include "lunkit/range_lock.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"
#include "zone_format.hpp"

namespace lunkit::zbc {

class ZoneTable {
  public:
    /// The header and an empty table for a file that was just created. Worker thread; blocks. `fd`
    /// as lunkit_file_info has it.
    static Status format(const lunkit_host& host, int fd, const Geometry& geometry);
    /// Worker thread; blocks.
    static Result<Geometry> read_header(const lunkit_host& host, int fd, const std::string& path);

    /// `file` outlives the table.
    ZoneTable(const lunkit_host& host, File& file, const Geometry& geometry);
    ZoneTable(const ZoneTable&) = delete;
    ZoneTable& operator=(const ZoneTable&) = delete;
    ZoneTable(ZoneTable&&) = delete;
    ZoneTable& operator=(ZoneTable&&) = delete;
    ~ZoneTable() = default;

    struct Loading {
        int fd;
        bool read_only;  ///< the file is left as it is
        bool take_over;  ///< opened zones stay open
    };
    /// Reads the table and makes the file fit for this boot of the host. Worker thread; blocks.
    Status load(const Loading& how, const std::string& path);
    /// Before the file is closed: makes everything durable, unless a flush has failed. What is open
    /// stays so. Worker thread; blocks.
    Status close(int fd);

    [[nodiscard]] std::uint64_t size() const { return records_.size(); }
    [[nodiscard]] const Record& operator[](std::uint64_t zone) const { return records_[zone]; }

    /// Changes what initiators see of a zone, here; store() puts it into the file.
    void set(std::uint64_t zone, std::uint64_t written, Opened opened);
    /// The zone's record is in the file, and outlives the daemon, when this completes.
    Task<Status> store(Queue& queue, std::uint64_t zone);
    /// Everything that was written to the file, and every set(), before this call is durable when
    /// it completes: first the data, then the write pointers that say that it is there.
    Task<Status> settle(Queue& queue);

  private:
    struct Block {
        std::uint64_t changes = 0;  ///< of the image
        std::uint64_t stored = 0;   ///< as of which of them it is in the file
    };

    Status adopt(std::span<std::byte> image, bool same_boot, const Loading& how,
                 const std::string& path);
    void encode(std::uint64_t zone);
    void mark(std::uint64_t zone);
    Task<Status> settle_marked(Queue& queue);
    Task<Status> flush(Queue& queue);
    Status write_changed(int fd);

    const lunkit_host& host_;
    File& file_;
    const Geometry geometry_;
    std::vector<Record> records_;
    std::vector<std::byte> image_;  // of the table in the file
    std::vector<Block> blocks_;

    AsyncMutex storing_;
    AsyncMutex settling_;
    std::uint64_t asked_ = 0;    // calls of settle()
    std::uint64_t settled_ = 0;  // how many of them are answered by what is durable
    bool failed_ = false;        // a flush: it is latched by the host
    // Zones whose `durable` is behind, each once.
    std::vector<std::uint32_t> marked_;
    std::vector<bool> is_marked_;
    std::vector<std::uint32_t> now_;  // zones of the settle() that runs
    // Up to where a zone is durable when its settle() has flushed the data: not what was taken back
    // meanwhile.
    std::vector<std::uint64_t> flushed_;
};

}  // namespace lunkit::zbc
