// SPDX-License-Identifier: Apache-2.0
// A Ring on a TcmuKernelModel's memory, with its in-flight table.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "core/memory_mapping.hpp"
#include "support/tcmu_kernel_model.hpp"
#include "tcmu/inflight_table.hpp"
#include "tcmu/ring.hpp"
#include "tcmu/served_ring.hpp"

namespace lunkit::test {

/// The model's device as a daemon opens it.
inline tcmu::ServedRing opened_ring(TcmuKernelModel& model, std::uint32_t slots = 64) {
    tcmu::UioNode node;
    node.fd = model.duplicate_user_fd();
    node.map = *core::MemoryMapping::of_file(model.memory_fd(), model.map_size(), "model");
    return *tcmu::ServedRing::open(std::move(node), slots);
}
/// The same, begun with a table that nobody will take over.
inline tcmu::ServedRing served_ring(TcmuKernelModel& model, std::uint32_t slots = 64) {
    tcmu::ServedRing ring = opened_ring(model, slots);
    const Status begun = ring.attach(*tcmu::TableMemory::anonymous(ring.table_bytes()));
    EXPECT_TRUE(begun.has_value());
    return ring;
}

class RingOnModel {
  public:
    explicit RingOnModel(TcmuKernelModel::Options options = {}, std::uint32_t slots = 64)
        : model(options), slots_(slots) {
        map_ = *core::MemoryMapping::of_file(model.memory_fd(), model.map_size(), "the model");
        attach();
    }
    /// Anew, as a successor would.
    void attach() {
        const tcmu::MailboxInfo info = *tcmu::MailboxInfo::read(map_.bytes());
        const auto geometry = tcmu::Ring::table_geometry(info, slots_);
        memory_ = *core::MemoryMapping::anonymous(geometry.bytes());
        auto table = tcmu::InflightTable::make(memory_.bytes(), geometry, map_.bytes());
        ring_.emplace(*tcmu::Ring::attach(map_.bytes(), *std::move(table)));
    }

    tcmu::Ring& ring() { return *ring_; }
    [[nodiscard]] const std::byte* map() const { return map_.bytes().data(); }
    tcmu::Slot& slot(std::uint32_t index) { return ring_->table().at(index); }

    /// Fetches the next command; fails the test when there is none.
    std::uint32_t fetch_command() {
        const auto fetched = ring_->fetch();
        EXPECT_TRUE(fetched.has_value()) << (fetched ? "" : fetched.error().what);
        EXPECT_EQ(fetched->kind, tcmu::Fetched::Kind::kCommand);
        return fetched->slot;
    }
    /// Everything up to cmd_head; the slots.
    std::vector<std::uint32_t> fetch_all() {
        std::vector<std::uint32_t> slots;
        while (true) {
            const auto fetched = ring_->fetch();
            EXPECT_TRUE(fetched.has_value()) << (fetched ? "" : fetched.error().what);
            if (!fetched || fetched->kind == tcmu::Fetched::Kind::kNothing ||
                fetched->kind == tcmu::Fetched::Kind::kNoRoom) {
                return slots;
            }
            if (fetched->kind == tcmu::Fetched::Kind::kCommand) {
                slots.push_back(fetched->slot);
            }
        }
    }
    void complete(std::uint32_t slot, tcmu::Response response = {}) {
        const Status completed = ring_->complete(slot, response);
        EXPECT_TRUE(completed.has_value()) << (completed ? "" : completed.error().what);
        model.handle_completions();
    }

    TcmuKernelModel model;

  private:
    std::uint32_t slots_;
    core::MemoryMapping map_;
    core::MemoryMapping memory_;
    std::optional<tcmu::Ring> ring_;
};

inline std::vector<std::uint8_t> cdb_read10(std::uint32_t lba, std::uint16_t blocks) {
    return {0x28,
            0,
            static_cast<std::uint8_t>(lba >> 24),
            static_cast<std::uint8_t>(lba >> 16),
            static_cast<std::uint8_t>(lba >> 8),
            static_cast<std::uint8_t>(lba),
            0,
            static_cast<std::uint8_t>(blocks >> 8),
            static_cast<std::uint8_t>(blocks),
            0};
}
inline std::vector<std::uint8_t> cdb_write10(std::uint32_t lba, std::uint16_t blocks) {
    std::vector<std::uint8_t> cdb = cdb_read10(lba, blocks);
    cdb[0] = 0x2a;
    return cdb;
}
inline std::vector<std::uint8_t> cdb_test_unit_ready() {
    return {0, 0, 0, 0, 0, 0};
}

}  // namespace lunkit::test
