// SPDX-License-Identifier: Apache-2.0
// READ and WRITE (SBC-4 5.8 to 5.11, 5.35 to 5.38).
//
// When TRANSFER LENGTH and the initiator's buffer differ (the transport's expected data transfer
// length; LIO does not compare them for us), the smaller one counts, as SAM-5 5.4.3 lets the
// transport report a residual:
// - READ gives the initiator the beginning of the data, to the byte;
// - WRITE writes the blocks that were sent and ends GOOD: what was sent is stored, and the
//   initiator knows how much it sent. A part of a block cannot be stored: then nothing is written
//   and the command ends 05/0E/03, INVALID FIELD IN COMMAND INFORMATION UNIT. Bytes that were not
//   sent are never written.
#include <algorithm>

#include "scsi/buffer.hpp"
#include "scsi/commands.hpp"
#include "scsi/errno_sense.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

// The initiator wants `length` bytes of a block: they take the way through memory of our own.
Task<Ending> read_part_of_block(Unit& unit, Queue& queue, const Command& command,
                                std::uint64_t offset, std::uint64_t data_offset,
                                std::uint64_t length) {
    Buffer buffer(unit.options.block_size);
    if (!buffer) {
        co_return busy();
    }
    SingleData block(buffer.bytes());
    IoRequest io(offset, block, Unit::io_flags(command));
    io.tag = command.tag;
    const Status done = co_await unit.device.read(queue, io);
    if (!done) {
        co_return unit.log.read.failed(ending_of(
            done.error(),
            {Direction::kRead, offset / unit.options.block_size, unit.options.block_size}));
    }
    copy_to_iov(*command.data, data_offset, buffer.bytes().first(length));
    co_return good();
}

}  // namespace

Task<Ending> read_blocks(Unit& unit, Queue& queue, Command& command) {
    return read_blocks_of(unit, queue, command, decode_block_cdb(Cdb(command.cdb)));
}

Task<Ending> read_blocks_of(Unit& unit, Queue& queue, Command& command, BlockCdb cdb) {
    if (const auto refusal = check_block_cdb(unit, cdb, unit.limits.maximum_transfer_length)) {
        co_return *refusal;
    }
    const std::uint32_t block_size = unit.options.block_size;
    const std::uint64_t offset = cdb.logical_block_address * block_size;
    const std::uint64_t length =
        std::min(std::uint64_t{cdb.number_of_logical_blocks} * block_size, data_length(command));
    const std::uint64_t whole = length - unit.part_of_block(length);

    if (cdb.fua) {  // what a volatile cache holds of these blocks goes to the medium first
        const Ending flushed = co_await unit.flush(queue);
        if (!flushed.is_good()) {
            co_return flushed;
        }
    }
    if (whole > 0) {
        IoRequest io(offset, *command.data,
                     Unit::io_flags(command) | (cdb.dpo ? LUNKIT_IO_DPO : 0U));
        io.length = whole;
        io.tag = command.tag;
        const Status done = co_await unit.device.read(queue, io);
        if (!done) {
            co_return unit.log.read.failed(
                ending_of(done.error(), {Direction::kRead, cdb.logical_block_address, block_size}));
        }
    }
    if (whole < length) {
        const Ending part = co_await read_part_of_block(unit, queue, command, offset + whole, whole,
                                                        length - whole);
        if (!part.is_good()) {
            co_return part;
        }
    }
    command.data_in_length = length;
    unit.log.read.bytes_processed += length;
    co_return good();
}

Task<Ending> write_blocks(Unit& unit, Queue& queue, Command& command) {
    const BlockCdb cdb = decode_block_cdb(Cdb(command.cdb));
    if (const auto refusal = check_block_cdb(unit, cdb, unit.limits.maximum_transfer_length)) {
        co_return *refusal;
    }
    const std::uint32_t block_size = unit.options.block_size;
    const std::uint64_t length =
        std::min(std::uint64_t{cdb.number_of_logical_blocks} * block_size, data_length(command));
    if (unit.part_of_block(length) != 0) {
        co_return wrong_data_out_length();
    }
    if (length == 0) {
        co_return good();
    }
    const std::uint32_t flags = unit.write_flags(command, cdb.fua);
    IoRequest io(cdb.logical_block_address * block_size, *command.data,
                 flags | (cdb.dpo ? LUNKIT_IO_DPO : 0U));
    io.length = length;
    io.tag = command.tag;
    io.progress = unit.progress_of(command);
    Medium::Change change(unit.device, io.range());
    if (!change.entered()) {
        (void)co_await change.acquire(queue);  // always 0
    }
    const Status done = co_await unit.device.write_held(queue, io);
    if (!done) {
        co_return unit.log.write.failed(
            ending_of(done.error(), {Direction::kWrite, cdb.logical_block_address, block_size}));
    }
    unit.log.write.bytes_processed += length;
    if (unit.is_unsettled(flags)) {
        co_return co_await unit.flush(queue);
    }
    co_return good();
}

}  // namespace lunkit::scsi
