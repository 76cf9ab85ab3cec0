// SPDX-License-Identifier: Apache-2.0
// A logical unit over a MemoryDevice, spoken to in bytes: CDB in; status, sense and data out.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lunkit/io_request.hpp"
#include "lunkit/task.hpp"
#include "scsi/big_endian.hpp"
#include "scsi/changed_range.hpp"
#include "scsi/logical_unit.hpp"
#include "support/fake_queue.hpp"
#include "support/memory_device.hpp"
#include "support/run_task.hpp"

namespace lunkit::scsi::test {

using lunkit::test::FakeQueue;
using lunkit::test::MemoryDevice;
using lunkit::test::run_task;
using Bytes = std::vector<std::uint8_t>;
using Kind = MemoryDevice::Kind;

inline constexpr std::uint32_t kBlock = 512;

/// CDBs of block commands: the opcode, byte 1, the address, the number of blocks.
inline Bytes cdb10(std::uint8_t opcode, std::uint8_t flags, std::uint32_t lba,
                   std::uint16_t blocks) {
    Bytes cdb(10);
    cdb[0] = opcode;
    cdb[1] = flags;
    put_be32(std::span(cdb).subspan(2), lba);
    put_be16(std::span(cdb).subspan(7), blocks);
    return cdb;
}
inline Bytes cdb12(std::uint8_t opcode, std::uint8_t flags, std::uint32_t lba,
                   std::uint32_t blocks) {
    Bytes cdb(12);
    cdb[0] = opcode;
    cdb[1] = flags;
    put_be32(std::span(cdb).subspan(2), lba);
    put_be32(std::span(cdb).subspan(6), blocks);
    return cdb;
}
inline Bytes cdb16(std::uint8_t opcode, std::uint8_t flags, std::uint64_t lba,
                   std::uint32_t blocks) {
    Bytes cdb(16);
    cdb[0] = opcode;
    cdb[1] = flags;
    put_be64(std::span(cdb).subspan(2), lba);
    put_be32(std::span(cdb).subspan(10), blocks);
    return cdb;
}

/// Of 32 bytes: the service action, byte 10, the address, the number of blocks.
inline Bytes cdb32(std::uint16_t action, std::uint8_t flags, std::uint64_t lba,
                   std::uint32_t blocks) {
    Bytes cdb(32);
    cdb[0] = 0x7f;
    cdb[7] = 0x18;
    put_be16(std::span(cdb).subspan(8), action);
    cdb[10] = flags;
    put_be64(std::span(cdb).subspan(12), lba);
    put_be32(std::span(cdb).subspan(28), blocks);
    return cdb;
}

class FakeInitiators final : public Initiators {
  public:
    Identity answer{"LUNKIT", "lunkit disk", "0001", "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"};
    std::vector<bool> write_cache_changes;

    Task<Identity> identity(Queue& /*queue*/) override { co_return answer; }
    void write_cache_changed(bool enabled) override { write_cache_changes.push_back(enabled); }
    bool run_in_background(Task<void> work) override {
        if (!closed) {
            start(std::move(work));
        }
        return !closed;
    }
    bool closed = false;

  private:
    static Detached start(Task<void> work) { co_await work; }
};

/// The Data-In or Data-Out buffer of a command, in several pieces of odd sizes, and what became of
/// the command. Stays where it is: the command points into it.
class Exchange {
  public:
    static constexpr std::uint8_t kUntouched = 0xa5;

    Exchange(Bytes cdb, Bytes buffer) : cdb_(std::move(cdb)), buffer_(std::move(buffer)) {
        std::size_t at = 0;
        for (std::size_t piece = 3; at < buffer_.size(); piece = piece * 7 + 1) {
            const std::size_t length = std::min(piece, buffer_.size() - at);
            iov_.push_back({buffer_.data() + at, length});
            at += length;
        }
        data_ = Data(iov_, buffer_.size());
        command.cdb = cdb_;
        command.data = &data_;
    }
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;
    Exchange(Exchange&&) = delete;
    Exchange& operator=(Exchange&&) = delete;
    ~Exchange() = default;

    Command command;
    [[nodiscard]] const Bytes& buffer() const { return buffer_; }

  private:
    Bytes cdb_;
    Bytes buffer_;
    std::vector<iovec> iov_;
    Data data_;
};

/// How a command ended.
struct Reply {
    StatusCode status = StatusCode::kGood;
    Bytes sense;
    Bytes data;    ///< what the unit says it has produced
    Bytes buffer;  ///< the whole buffer afterwards

    [[nodiscard]] bool is_fixed() const { return sense.size() >= 18 && (sense[0] & 0x7eU) == 0x70; }
    [[nodiscard]] unsigned key() const { return is_fixed() ? sense[2] : sense.at(1); }
    [[nodiscard]] unsigned asc() const {
        return is_fixed() ? get_be16(std::span(sense).subspan(12))
                          : get_be16(std::span(sense).subspan(2));
    }
    /// INFORMATION, when valid.
    [[nodiscard]] std::optional<std::uint64_t> information() const {
        if (is_fixed()) {
            return sense[0] == 0xf0
                       ? std::optional<std::uint64_t>(get_be32(std::span(sense).subspan(3)))
                       : std::nullopt;
        }
        return sense.size() >= 20 && sense[8] == 0
                   ? std::optional<std::uint64_t>(get_be64(std::span(sense).subspan(12)))
                   : std::nullopt;
    }
    /// FIELD POINTER of fixed format sense data that has one.
    [[nodiscard]] std::optional<unsigned> field() const {
        return is_fixed() && (sense[15] & 0x80) != 0
                   ? std::optional<unsigned>(get_be16(std::span(sense).subspan(16)))
                   : std::nullopt;
    }
};

inline std::string describe(const Reply& reply) {
    char text[96];
    if (reply.status != StatusCode::kCheckCondition) {
        (void)snprintf(text, sizeof text, "status %02xh", static_cast<unsigned>(reply.status));
    } else {
        (void)snprintf(text, sizeof text, "CHECK CONDITION %xh/%04xh field %d", reply.key(),
                       reply.asc(), reply.field() ? static_cast<int>(*reply.field()) : -1);
    }
    return text;
}

inline ::testing::AssertionResult is_good(const Reply& reply) {
    return reply.status == StatusCode::kGood ? ::testing::AssertionSuccess()
                                             : ::testing::AssertionFailure() << describe(reply);
}
/// `additional`: ASC and ASCQ, e.g. 0x2400.
inline ::testing::AssertionResult is_check(const Reply& reply, unsigned key, unsigned additional) {
    const bool is = reply.status == StatusCode::kCheckCondition && reply.key() == key &&
                    reply.asc() == additional && reply.data.empty();
    return is ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << describe(reply);
}
inline ::testing::AssertionResult is_invalid_cdb_field(const Reply& reply, unsigned field) {
    const bool is =
        is_check(reply, 0x5, 0x2400) && reply.field() == field && (reply.sense[15] & 0x40) != 0;
    return is ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << describe(reply);
}
inline ::testing::AssertionResult is_invalid_list_field(const Reply& reply, unsigned field) {
    const bool is =
        is_check(reply, 0x5, 0x2600) && reply.field() == field && (reply.sense[15] & 0x40) == 0;
    return is ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << describe(reply);
}

class LogicalUnitTest : public ::testing::Test {
  protected:
    LogicalUnitTest() { restart(); }
    ~LogicalUnitTest() override {
        queue.run_all();
        EXPECT_EQ(device.violations, 0U);
    }

    /// A new unit with the properties and options as they are now.
    void restart() {
        queue.run_all();  // the old one's work in the background
        unit = std::make_unique<LogicalUnit>(device, initiators, options);
    }

    /// From outside; may still wait for the queue.
    Detached switch_write_cache(bool enabled) {
        EXPECT_TRUE(co_await unit->set_write_cache(queue, enabled));
    }

    /// With a Data-In buffer of `length` bytes.
    Reply in(Bytes cdb, std::size_t length = 1024) {
        return run(std::move(cdb), Bytes(length, Exchange::kUntouched));
    }
    /// With this Data-Out buffer.
    Reply out(Bytes cdb, Bytes data) { return run(std::move(cdb), std::move(data)); }
    /// Without any.
    Reply run(Bytes cdb) { return run(std::move(cdb), {}); }

    Reply run(Bytes cdb, Bytes buffer) {
        Exchange exchange(std::move(cdb), std::move(buffer));
        const std::size_t before = device.requests.size();
        const auto announced =
            changed_range(exchange.command, options.block_size, device.info().zone_size);
        run_task(queue, unit->execute(queue, exchange.command));
        left_running_ =
            left_running_ || is_rewrite(exchange.command) ||
            (announced && announced->offset == 0 && announced->length >= device.bytes().size());
        if (!left_running_) {
            expect_within(announced, std::span(device.requests).subspan(before));
        }
        return reply_of(exchange);
    }
    /// FORMAT UNIT or SANITIZE: may go on in the background.
    static bool is_rewrite(const Command& command) {
        return !command.cdb.empty() && (command.cdb[0] == 0x04 || command.cdb[0] == 0x48);
    }
    /// Of what a command did: nothing outside of what it said it might change.
    static void expect_within(const std::optional<ByteRange>& announced,
                              std::span<const MemoryDevice::Request> done) {
        for (const MemoryDevice::Request& request : done) {
            if (request.kind != Kind::kRead && request.kind != Kind::kFlush &&
                request.kind != Kind::kExtents && request.kind != Kind::kSpace &&
                request.kind != Kind::kReportZones && request.length > 0) {
                const ByteRange range = announced.value_or(ByteRange{});
                EXPECT_TRUE(range.offset <= request.offset &&
                            request.offset + request.length <= range.end())
                    << "a change at " << request.offset << "+" << request.length
                    << " outside of the announced " << range.offset << "+" << range.length;
            }
        }
    }
    static Reply reply_of(const Exchange& exchange) {
        const Command& command = exchange.command;
        Reply reply;
        reply.status = command.status;
        reply.sense.assign(command.sense.begin(), command.sense.begin() + command.sense_length);
        EXPECT_LE(command.data_in_length, exchange.buffer().size());
        reply.buffer = exchange.buffer();
        reply.data.assign(reply.buffer.begin(), reply.buffer.begin() + static_cast<std::ptrdiff_t>(
                                                                           command.data_in_length));
        return reply;
    }

    /// Whole blocks of one byte.
    static Bytes blocks(std::size_t count, std::uint8_t value) {
        return Bytes(count * kBlock, value);
    }
    /// Whether every byte of [lba, +count) of the medium is `value`.
    bool medium_is(std::uint64_t lba, std::uint64_t count, std::uint8_t value) {
        const auto bytes = device.bytes().subspan(lba * kBlock, count * kBlock);
        return std::ranges::all_of(bytes, [value](std::byte b) { return b == std::byte{value}; });
    }
    void fill_medium(std::uint64_t lba, std::uint64_t count, std::uint8_t value) {
        std::ranges::fill(device.bytes().subspan(lba * kBlock, count * kBlock), std::byte{value});
    }

    static constexpr std::uint64_t kBlocks = 2048;  // 1 MiB

    FakeQueue queue;
    MemoryDevice device{kBlocks * kBlock};
    FakeInitiators initiators;
    LogicalUnitOptions options{.block_size = kBlock};
    std::unique_ptr<LogicalUnit> unit;

  private:
    bool left_running_ = false;  // a FORMAT UNIT or SANITIZE may still be at work
};

}  // namespace lunkit::scsi::test
