// SPDX-License-Identifier: Apache-2.0
#include "tcmu/served_ring.hpp"

#include <utility>

#include "lunkit/try.hpp"

namespace lunkit::tcmu {

Result<ServedRing> ServedRing::open(UioNode node, std::uint32_t slots) {
    ServedRing served;
    served.node_ = std::move(node);
    TRY(served.guard_, SigbusGuard::watch(served.node_.map.bytes()));
    TRY(served.info_, MailboxInfo::read(served.node_.map.bytes()));
    served.geometry_ = Ring::table_geometry(served.info_, slots);
    return served;
}

Result<RingPositions> ServedRing::positions() const {
    return RingPositions::read(node_.map.bytes(), info_);
}

Status ServedRing::watch(TableMemory memory) {
    table_guard_ = {};
    memory_ = {};
    TRY(table_guard_, SigbusGuard::watch(memory.mapping()));
    memory_ = std::move(memory);
    return {};
}

Status ServedRing::resume(TableMemory memory) {
    CHECK(watch(std::move(memory)));
    const std::span<std::byte> map = node_.map.bytes();
    TRY(const RingPositions where, positions());
    TRY(InflightTable table, InflightTable::recover(memory_.table(), geometry_, map, where.tail));
    TRY(Ring ring, Ring::resume(map, std::move(table)));
    ring_ = std::move(ring);
    return {};
}

void ServedRing::retire_table() {
    InflightTable::retire(memory_.table());
}

bool ServedRing::keeps_memory() const {
    return memory_.is_mapped() && !table_lost();
}

Status ServedRing::attach() {
    const std::span<std::byte> map = node_.map.bytes();
    TRY(InflightTable table, InflightTable::make(memory_.table(), geometry_, map));
    TRY(Ring ring, Ring::attach(map, std::move(table)));
    ring_ = std::move(ring);
    return {};
}

Status ServedRing::attach(TableMemory memory) {
    const auto remembered = memory_.is_mapped() ? memory_.unit() : scsi::UnitMemory{};
    CHECK(watch(std::move(memory)));
    unit_memory() = remembered;
    return attach();
}

}  // namespace lunkit::tcmu
