// SPDX-License-Identifier: Apache-2.0
// What a command costs between the ring and the SCSI layer: fetch into the in-flight table and
// completion, with the table in memory of the process and in a file that outlives it.
//   build/release/tests/bench/ring_bench --benchmark_enable_random_interleaving=true
//       --benchmark_repetitions=9 --benchmark_report_aggregates_only=true
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "core/memory_mapping.hpp"
#include "lunkit/unique_fd.hpp"
#include "tcmu/inflight_table.hpp"
#include "tcmu/ring.hpp"
#include "tcmu/ring_layout.hpp"

namespace lunkit::tcmu {
namespace {

constexpr std::uint32_t kCmdrOff = 128;
constexpr std::uint32_t kCmdrSize = (1 << 20) - kCmdrOff;
constexpr std::uint32_t kEntrySize = 128;
constexpr std::size_t kMapSize = 4 << 20;

template <typename T>
void put(std::span<std::byte> map, std::size_t at, T value) {
    std::memcpy(map.data() + at, &value, sizeof value);
}

/// READ(10) of 4 KiB in one iovec.
void put_entry(std::span<std::byte> map, std::uint32_t position, std::uint16_t cmd_id) {
    const EntryLayout& layout = kEntryVersion2;
    const std::size_t at = kCmdrOff + position;
    const std::size_t cdb_at = at + layout.size;
    put(map, at + layout.len_op, kEntrySize | kOpCommand);
    put(map, at + layout.cmd_id, cmd_id);
    put<std::uint32_t>(map, at + layout.iov_count, 1);
    put<std::uint32_t>(map, at + layout.bidi_count, 0);
    put<std::uint64_t>(map, at + layout.cdb_off, cdb_at);
    put<std::uint64_t>(map, at + layout.iov, std::uint64_t{1} << 20);
    put<std::uint64_t>(map, at + layout.iov + 8, 4096);
    constexpr std::array<std::uint8_t, 10> kRead10{0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0};
    std::memcpy(map.data() + cdb_at, kRead10.data(), kRead10.size());
}

enum class Table : std::uint8_t { kAnonymous, kFile };

void fetch_and_complete(benchmark::State& state, Table kind) {
    const auto depth = static_cast<std::uint32_t>(state.range(0));
    const core::MemoryMapping map = *core::MemoryMapping::anonymous(kMapSize);
    put<std::uint16_t>(map.bytes(), mailbox::kVersion, 2);
    put<std::uint16_t>(map.bytes(), mailbox::kFlags, mailbox::kOutOfOrder | mailbox::kReadLen);
    put(map.bytes(), mailbox::kCmdrOff, kCmdrOff);
    put(map.bytes(), mailbox::kCmdrSize, kCmdrSize / kEntrySize * kEntrySize);
    const MailboxInfo info = *MailboxInfo::read(map.bytes());
    const auto geometry = Ring::table_geometry(info, 1024);
    core::MemoryMapping memory;
    if (kind == Table::kFile) {
        const UniqueFd fd(::memfd_create("table", MFD_CLOEXEC));  // on tmpfs, as /run is
        if (::ftruncate(fd.get(), static_cast<off_t>(geometry.bytes())) != 0) {
            std::abort();
        }
        memory = *core::MemoryMapping::of_file(fd.get(), geometry.bytes(), "table");
    } else {
        memory = *core::MemoryMapping::anonymous(geometry.bytes());
    }
    Ring ring =
        *Ring::attach(map.bytes(), *InflightTable::make(memory.bytes(), geometry, map.bytes()));
    std::uint32_t head = 0;
    std::uint16_t cmd_id = 0;
    std::array<std::uint32_t, 128> slots{};
    for (auto _ : state) {
        for (std::uint32_t i = 0; i < depth; ++i) {
            put_entry(map.bytes(), head, ++cmd_id);
            head = (head + kEntrySize) % info.cmdr_size;
        }
        put(map.bytes(), mailbox::kCmdHead, head);
        for (std::uint32_t i = 0; i < depth; ++i) {
            slots.at(i) = ring.fetch()->slot;
        }
        for (std::uint32_t i = 0; i < depth; ++i) {
            if (!ring.complete(slots.at(i), {})) {
                std::abort();
            }
        }
    }
    state.SetItemsProcessed(state.iterations() * depth);
}

BENCHMARK_CAPTURE(fetch_and_complete, own_memory, Table::kAnonymous)->Arg(1)->Arg(32)->Arg(128);
BENCHMARK_CAPTURE(fetch_and_complete, file, Table::kFile)->Arg(1)->Arg(32)->Arg(128);

}  // namespace
}  // namespace lunkit::tcmu
