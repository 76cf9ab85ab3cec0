// SPDX-License-Identifier: Apache-2.0
// VERIFY and WRITE AND VERIFY (SBC-4 5.33, 5.41).
//
// To verify is to read the medium, in pieces of bounded memory; with BYTCHK also to compare it with
// the Data-Out buffer. Unlike WRITE, a Data-Out buffer that is too short is always refused: GOOD
// would claim that blocks were compared which were not.
#include <algorithm>
#include <cstring>
#include <optional>

#include "scsi/buffer.hpp"
#include "scsi/commands.hpp"
#include "scsi/errno_sense.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

/// BYTCHK, SBC-4 table 141.
enum class ByteCheck : std::uint8_t { kMediumOnly = 0, kAllBlocks = 1, kOneBlock = 3 };

/// Where data[offset, +bytes.size()) first differs from `bytes`, counted from the data's start.
std::optional<std::uint64_t> first_difference(const Data& data, std::uint64_t offset,
                                              std::span<const std::byte> bytes) {
    std::optional<std::uint64_t> found;
    for_each_piece(data, offset, bytes.size(), [&](const std::byte* piece, std::size_t length) {
        if (!found && std::memcmp(piece, bytes.data(), length) != 0) {
            const auto* const at = std::mismatch(piece, piece + length, bytes.data()).first;
            found = offset + static_cast<std::uint64_t>(at - piece);
        }
        bytes = bytes.subspan(length);
        offset += length;
    });
    return found;
}

/// `medium` holds the blocks that begin `done` bytes into the command's range.
std::optional<std::uint64_t> compare(const Data& data, ByteCheck check, std::uint64_t done,
                                     std::span<const std::byte> medium, std::uint32_t block_size) {
    if (check == ByteCheck::kAllBlocks) {
        return first_difference(data, done, medium);
    }
    for (; !medium.empty(); medium = medium.subspan(block_size)) {
        if (const auto found = first_difference(data, 0, medium.first(block_size))) {
            return found;
        }
    }
    return {};
}

Task<Ending> verify_range(Unit& unit, Queue& queue, const Command& command, ByteRange range,
                          ByteCheck check) {
    const std::uint32_t block_size = unit.options.block_size;
    Buffer buffer(static_cast<std::size_t>(
        std::clamp<std::uint64_t>(range.length, block_size, kMaxBufferSize)));
    if (!buffer) {
        co_return busy();
    }
    for (std::uint64_t done = 0; done < range.length;) {
        const std::uint64_t length =
            std::min<std::uint64_t>(range.length - done, buffer.bytes().size());
        const auto medium = buffer.bytes().first(length);
        SingleData data(medium);
        IoRequest io(range.offset + done, data, Unit::io_flags(command) | LUNKIT_IO_DPO);
        io.tag = command.tag;
        const Status read = co_await unit.device.read(queue, io);
        if (!read) {
            co_return unit.log.verify.failed(
                ending_of(read.error(), {Direction::kRead, io.offset / block_size, block_size}));
        }
        unit.log.verify.bytes_processed += length;
        if (check != ByteCheck::kMediumOnly) {
            if (const auto differs = compare(*command.data, check, done, medium, block_size)) {
                co_return check_condition(SenseKey::kMiscompare,
                                          asc::kMiscompareDuringVerifyOperation, *differs);
            }
        }
        done += length;
        if (done < range.length) {
            (void)co_await queue.yield();  // its outcome says nothing
        }
    }
    co_return good();
}

}  // namespace

Task<Ending> verify(Unit& unit, Queue& queue, Command& command) {
    const BlockCdb cdb = decode_block_cdb(Cdb(command.cdb));
    if (const auto refusal = check_block_cdb(unit, cdb, unit.limits.maximum_transfer_length)) {
        co_return *refusal;
    }
    if (cdb.bytchk == 2) {  // reserved
        co_return invalid_field_in_cdb(cdb.flags_at, 2);
    }
    if (cdb.number_of_logical_blocks == 0) {
        co_return good();
    }
    const auto check = static_cast<ByteCheck>(cdb.bytchk);
    const std::uint32_t block_size = unit.options.block_size;
    const ByteRange range{cdb.logical_block_address * block_size,
                          std::uint64_t{cdb.number_of_logical_blocks} * block_size};
    if ((check == ByteCheck::kAllBlocks && data_length(command) < range.length) ||
        (check == ByteCheck::kOneBlock && data_length(command) < block_size)) {
        co_return wrong_data_out_length();
    }
    co_return co_await verify_range(unit, queue, command, range, check);
}

Task<Ending> write_and_verify(Unit& unit, Queue& queue, Command& command) {
    const BlockCdb cdb = decode_block_cdb(Cdb(command.cdb));
    if (const auto refusal = check_block_cdb(unit, cdb, unit.limits.maximum_transfer_length)) {
        co_return *refusal;
    }
    if (cdb.bytchk > 1) {  // reserved in this command
        co_return invalid_field_in_cdb(cdb.flags_at, 2);
    }
    const std::uint32_t block_size = unit.options.block_size;
    // As for WRITE: the blocks that were sent.
    const std::uint64_t length =
        std::min(std::uint64_t{cdb.number_of_logical_blocks} * block_size, data_length(command));
    if (length % block_size != 0) {
        co_return wrong_data_out_length();
    }
    if (length == 0) {
        co_return good();
    }
    // The verification is of the medium, so the data goes there first, whatever WCE says.
    const std::uint32_t flags = unit.write_flags(command, true);
    IoRequest io(cdb.logical_block_address * block_size, *command.data,
                 flags | (cdb.dpo ? LUNKIT_IO_DPO : 0U));
    io.length = length;
    io.tag = command.tag;
    io.progress = unit.progress_of(command);
    const Status done = co_await unit.device.write(queue, io);
    if (!done) {
        co_return unit.log.write.failed(
            ending_of(done.error(), {Direction::kWrite, cdb.logical_block_address, block_size}));
    }
    unit.log.write.bytes_processed += length;
    co_return co_await verify_range(unit, queue, command, io.range(),
                                    static_cast<ByteCheck>(cdb.bytchk));
}

}  // namespace lunkit::scsi
