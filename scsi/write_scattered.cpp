// SPDX-License-Identifier: Apache-2.0
// WRITE SCATTERED(16) (SBC-4 5.55, 4.35): several writes in one command. The Data-Out buffer begins
// with the LBA range descriptors, padded to whole blocks; behind them is the data, range by range.
// All descriptors are checked before the first block is written. Each range is a write of its own;
// together they are not atomic, which nobody promised.
#include <optional>

#include "scsi/buffer.hpp"
#include "scsi/commands.hpp"
#include "scsi/errno_sense.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::size_t kHeaderLength = 32;
constexpr std::size_t kDescriptorLength = 32;

struct ScatteredCdb {
    bool dpo = false;
    bool fua = false;
    std::uint16_t logical_block_data_offset = 0;
    std::uint16_t number_of_lba_range_descriptors = 0;
    std::uint32_t buffer_transfer_length = 0;

    explicit ScatteredCdb(const Cdb& cdb)
        : dpo(cdb.bit(2, 4)),
          fua(cdb.bit(2, 3)),
          logical_block_data_offset(cdb.be16(4)),
          number_of_lba_range_descriptors(cdb.be16(8)),
          buffer_transfer_length(cdb.be32(10)) {}
};

/// The `number`th of the list behind its header.
struct LbaRangeDescriptor {
    std::uint64_t logical_block_address;
    std::uint32_t number_of_logical_blocks;

    LbaRangeDescriptor(std::span<const std::uint8_t> list, std::size_t number)
        : logical_block_address(get_be64(list.subspan(number * kDescriptorLength))),
          number_of_logical_blocks(get_be32(list.subspan(number * kDescriptorLength + 8))) {}
};

std::optional<Ending> check_cdb(const Unit& unit, const Cdb& cdb, const ScatteredCdb& scattered) {
    if (cdb.bits(2, 7, 5) != 0) {  // WRPROTECT
        return invalid_field_in_cdb(2, 7);
    }
    if (scattered.number_of_lba_range_descriptors >
        unit.limits.maximum_scattered_lba_range_descriptor_count) {
        return invalid_field_in_cdb(8);
    }
    if (scattered.buffer_transfer_length > unit.limits.maximum_transfer_length) {
        return invalid_field_in_cdb(10);
    }
    return {};
}

// BUFFER TRANSFER LENGTH counts the blocks of the whole Data-Out buffer; sg3_utils counts those of
// the data only. What the ranges need decides which of the two is meant, or that neither is.
Ending check_descriptors(const Unit& unit, const ScatteredCdb& scattered,
                         std::span<const std::uint8_t> list, std::uint64_t& total) {
    total = 0;
    for (std::size_t i = 0; i < scattered.number_of_lba_range_descriptors; ++i) {
        const LbaRangeDescriptor descriptor(list, i);
        if (descriptor.number_of_logical_blocks > unit.limits.maximum_transfer_length) {
            return invalid_field_in_parameter_list(
                static_cast<std::uint16_t>(kHeaderLength + i * kDescriptorLength + 8));
        }
        if (!unit.range(descriptor.logical_block_address, descriptor.number_of_logical_blocks)) {
            return logical_block_address_out_of_range();
        }
        total += descriptor.number_of_logical_blocks;
    }
    if (total + scattered.logical_block_data_offset != scattered.buffer_transfer_length &&
        total != scattered.buffer_transfer_length) {
        return {StatusCode::kCheckCondition,
                {SenseKey::kAbortedCommand,
                 asc::kParameterListLengthError,
                 {},
                 FieldPointer{10, {}, true}}};
    }
    return good();
}

Task<Ending> write_ranges(Unit& unit, Queue& queue, const Command& command, ScatteredCdb scattered,
                          std::span<const std::uint8_t> list) {
    const std::uint32_t block_size = unit.options.block_size;
    std::uint64_t data_offset = std::uint64_t{scattered.logical_block_data_offset} * block_size;
    bool cached = false;
    for (std::size_t i = 0; i < scattered.number_of_lba_range_descriptors; ++i) {
        const LbaRangeDescriptor descriptor(list, i);
        const std::uint64_t lba = descriptor.logical_block_address;
        const auto range = unit.range(lba, descriptor.number_of_logical_blocks);
        if (!range) {  // the capacity has shrunk meanwhile
            co_return logical_block_address_out_of_range();
        }
        if (range->length == 0) {
            continue;
        }
        const std::uint32_t flags = unit.write_flags(command, scattered.fua);
        IoRequest io(range->offset, *command.data, flags | (scattered.dpo ? LUNKIT_IO_DPO : 0U));
        io.length = range->length;
        io.data_offset = data_offset;
        io.tag = command.tag;
        const Status done = co_await unit.device.write(queue, io);
        if (!done) {
            co_return unit.log.write.failed(
                ending_of(done.error(), {Direction::kWrite, lba, block_size}));
        }
        unit.log.write.bytes_processed += range->length;
        data_offset += range->length;
        cached = cached || (flags & LUNKIT_IO_FUA) == 0;
    }
    if (cached && !unit.mode.write_cache_enabled) {
        co_return co_await unit.flush(queue);
    }
    co_return good();
}

}  // namespace

Task<Ending> write_scattered(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    const ScatteredCdb scattered(cdb);
    if (const auto refusal = check_cdb(unit, cdb, scattered)) {
        co_return *refusal;
    }
    if (scattered.number_of_lba_range_descriptors == 0 || scattered.buffer_transfer_length == 0) {
        co_return good();
    }
    const std::size_t list_length = scattered.number_of_lba_range_descriptors * kDescriptorLength;
    const std::uint64_t block_size = unit.options.block_size;
    if (kHeaderLength + list_length > scattered.logical_block_data_offset * block_size) {
        co_return invalid_field_in_cdb(4);
    }
    if (data_length(command) < kHeaderLength + list_length) {
        co_return wrong_data_out_length();
    }
    Buffer buffer(list_length);
    if (!buffer) {
        co_return busy();
    }
    const std::span<std::uint8_t> list(reinterpret_cast<std::uint8_t*>(buffer.bytes().data()),
                                       buffer.bytes().size());
    fetch(command, kHeaderLength, list);
    std::uint64_t total = 0;
    const Ending checked = check_descriptors(unit, scattered, list, total);
    if (!checked.is_good()) {
        co_return checked;
    }
    if (data_length(command) < (scattered.logical_block_data_offset + total) * block_size) {
        co_return wrong_data_out_length();
    }
    co_return co_await write_ranges(unit, queue, command, scattered, list);
}

}  // namespace lunkit::scsi
