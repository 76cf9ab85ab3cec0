// SPDX-License-Identifier: Apache-2.0
// The mailbox and the ring from arbitrary bytes, which go on changing while commands run.
//
// Input: one byte of options, one of the number of steps' seed, then the memory itself: mailbox and
// ring as they are, and the rest of the input as a script (fetch, complete, change a byte). A valid
// mailbox is laid over the start if the options say so, else few inputs would get beyond it.
// Checked: no access outside the mapping (a heap block of its exact size, under AddressSanitizer),
// every range handed out lies in the data area, a broken ring stays broken, and the table balances.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/memory_mapping.hpp"
#include "script.hpp"
#include "tcmu/inflight_table.hpp"
#include "tcmu/ring.hpp"

namespace {

using lunkit::core::MemoryMapping;
using lunkit::fuzz::must;
using lunkit::fuzz::Script;
using lunkit::tcmu::Fetched;
using lunkit::tcmu::InflightTable;
using lunkit::tcmu::MailboxInfo;
using lunkit::tcmu::Response;
using lunkit::tcmu::Ring;

constexpr std::size_t kMapSize = 6144;
constexpr std::uint32_t kCmdrOff = 128;
constexpr std::uint32_t kCmdrSize = 4000;
constexpr std::uint32_t kSlots = 8;

void lay_mailbox(std::span<std::byte> map, std::uint8_t options) {
    const std::uint16_t version = (options & 1U) != 0 ? 1 : 2;
    const auto flags = static_cast<std::uint16_t>(options >> 1 & 7U);
    std::memcpy(map.data(), &version, sizeof version);
    std::memcpy(map.data() + 2, &flags, sizeof flags);
    std::memcpy(map.data() + 4, &kCmdrOff, sizeof kCmdrOff);
    std::memcpy(map.data() + 8, &kCmdrSize, sizeof kCmdrSize);
}

/// A handler that uses all of its data, as far as the ring says it may.
void use_data(Ring& ring, std::uint32_t slot, std::span<std::byte> map, bool bidi) {
    std::uint64_t budget = 1 << 16;  // overlapping iovecs may add up to much
    for (const iovec& iov : bidi ? ring.table().bidi_iovs(slot) : ring.table().data_iovs(slot)) {
        auto* begin = static_cast<std::byte*>(iov.iov_base);
        must(begin >= map.data() && iov.iov_len <= map.size());
        const auto offset = static_cast<std::size_t>(begin - map.data());
        must(offset >= ring.info().data_offset() && offset + iov.iov_len <= map.size());
        const std::uint64_t length = std::min<std::uint64_t>(iov.iov_len, budget);
        std::memset(begin, 0x33, length);
        budget -= length;
    }
#ifdef LUNKIT_FUZZ_PLANT
    // The planted bug: the data's place is read from the shared entry again, after the check.
    if (!bidi && ring.table().at(slot).iov_count > 0) {
        std::uint64_t offset = 0;
        std::memcpy(&offset,
                    map.data() + ring.info().cmdr_off + ring.table().at(slot).ring_offset + 48,
                    sizeof offset);
        map.data()[offset] = std::byte{0x33};
    }
#endif
}

void run(Ring& ring, std::span<std::byte> map, Script& script) {
    std::vector<std::uint32_t> running;
    std::string broken;
    for (int step = 0; step < 400 && !script.empty(); ++step) {
        const std::uint8_t what = script.byte();
        if (what % 4 == 0) {
            map[script.word() % map.size()] = static_cast<std::byte>(script.byte());
        } else if (what % 4 == 1 && !running.empty()) {
            const std::size_t chosen = script.byte() % running.size();
            const std::uint32_t slot = running[chosen];
            running.erase(running.begin() + static_cast<std::ptrdiff_t>(chosen));
            use_data(ring, slot, map, false);
            use_data(ring, slot, map, true);
            const std::array<std::uint8_t, 18> sense{0x70};
            (void)ring.complete(slot, {.status = what, .sense = sense, .read_len = script.byte()});
        } else {
            const lunkit::Result<Fetched> fetched = ring.fetch();
            if (!fetched) {
                must(fetched.error().what.starts_with("ring is broken: "));
                must(broken.empty() || broken == fetched.error().what);
                broken = fetched.error().what;
            } else if (fetched->kind == Fetched::Kind::kReset) {
                broken.clear();
            } else if (fetched->kind == Fetched::Kind::kCommand) {
                must(broken.empty());
                must(ring.table().at(fetched->slot).cdb_length >= 6);
                running.push_back(fetched->slot);
            }
        }
        must(running.size() <= ring.table().in_flight());
        must(ring.table().in_flight() <= kSlots);
    }
    for (const std::uint32_t slot : running) {
        (void)ring.complete(slot, Response{});
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Script script({data, size});
    const std::uint8_t options = script.byte();
    const auto block = std::make_unique<std::array<std::byte, kMapSize>>();
    const std::span<std::byte> map = *block;
    std::ranges::fill(map, std::byte{0});
    script.fill(map.first(kCmdrOff + script.word() % kCmdrSize));
    if ((options & 0x80U) == 0) {
        lay_mailbox(map, options);
    }
    const lunkit::Result<MailboxInfo> info = MailboxInfo::read(map);
    if (!info) {
        return 0;
    }
    const InflightTable::Geometry geometry = Ring::table_geometry(*info, kSlots);
    lunkit::Result<MemoryMapping> memory = MemoryMapping::anonymous(geometry.bytes());
    must(memory.has_value());
    lunkit::Result<InflightTable> table = InflightTable::make(memory->bytes(), geometry, map);
    must(table.has_value());
    lunkit::Result<Ring> ring = Ring::attach(map, *std::move(table));
    if (ring) {
        run(*ring, map, script);
    }
    return 0;
}
