// SPDX-License-Identifier: Apache-2.0
// UNMAP (SBC-4 5.32). The parameter list is copied and checked as a whole before the first block is
// unmapped: a bad last descriptor leaves the medium as it was.
#include <algorithm>
#include <array>
#include <cstddef>

#include "scsi/buffer.hpp"
#include "scsi/commands.hpp"
#include "scsi/errno_sense.hpp"
#include "scsi/parameter_data.hpp"

namespace lunkit::scsi {
namespace {

constexpr std::size_t kHeaderLength = 8;
constexpr std::size_t kDescriptorLength = 16;

/// UNMAP block descriptor.
struct UnmapBlockDescriptor {
    std::uint64_t unmap_logical_block_address;
    std::uint32_t number_of_logical_blocks;

    /// The `number`th of a parameter list behind its header.
    UnmapBlockDescriptor(std::span<const std::uint8_t> descriptors, std::size_t number)
        : unmap_logical_block_address(get_be64(descriptors.subspan(number * kDescriptorLength))),
          number_of_logical_blocks(get_be32(descriptors.subspan(number * kDescriptorLength + 8))) {}
};

Ending check_descriptors(const Unit& unit, std::span<const std::uint8_t> descriptors,
                         std::size_t count) {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const UnmapBlockDescriptor descriptor(descriptors, i);
        if (!unit.range(descriptor.unmap_logical_block_address,
                        descriptor.number_of_logical_blocks)) {
            return logical_block_address_out_of_range();
        }
        total += descriptor.number_of_logical_blocks;
        if (total > unit.limits.maximum_unmap_lba_count) {
            return invalid_field_in_parameter_list(
                static_cast<std::uint16_t>(kHeaderLength + i * kDescriptorLength + 8));
        }
    }
    return good();
}

Task<Ending> unmap_descriptors(Unit& unit, Queue& queue, const Command& command,
                               std::span<const std::uint8_t> descriptors, std::size_t count) {
    bool cached = false;
    for (std::size_t i = 0; i < count; ++i) {
        const UnmapBlockDescriptor descriptor(descriptors, i);
        const std::uint64_t lba = descriptor.unmap_logical_block_address;
        const auto range = unit.range(lba, descriptor.number_of_logical_blocks);
        if (!range) {  // the capacity has shrunk meanwhile
            co_return logical_block_address_out_of_range();
        }
        if (range->length == 0) {
            continue;
        }
        const std::uint32_t flags = unit.write_flags(command, false);
        IoRequest io(range->offset, range->length, flags);
        io.tag = command.tag;
        const Status done = co_await unit.device.discard(queue, io);
        if (!done) {
            co_return ending_of(done.error(), {Direction::kWrite, lba, unit.options.block_size});
        }
        cached = cached || (flags & LUNKIT_IO_FUA) == 0;
    }
    if (cached && !unit.mode.write_cache_enabled) {
        co_return co_await unit.flush(queue);
    }
    co_return good();
}

}  // namespace

Task<Ending> unmap(Unit& unit, Queue& queue, Command& command) {
    const Cdb cdb(command.cdb);
    if (cdb.bit(1, 0)) {  // ANCHOR; the unit reports ANC_SUP = 0
        co_return invalid_field_in_cdb(1, 0);
    }
    const std::uint16_t parameter_list_length = cdb.be16(7);
    if (parameter_list_length == 0) {
        co_return good();
    }
    if (parameter_list_length < kHeaderLength) {
        co_return parameter_list_length_error();
    }
    if (data_length(command) < parameter_list_length) {
        co_return wrong_data_out_length();
    }
    std::array<std::uint8_t, kHeaderLength> header;
    fetch(command, 0, header);
    // An incomplete last descriptor is to be ignored; one that the list does not hold is an error.
    const std::size_t count = get_be16(std::span(header).subspan(2)) / kDescriptorLength;
    if (count * kDescriptorLength > parameter_list_length - kHeaderLength) {
        co_return parameter_list_length_error();
    }
    if (count > unit.limits.maximum_unmap_block_descriptor_count) {
        co_return invalid_field_in_parameter_list(2);
    }
    if (count == 0) {
        co_return good();
    }
    Buffer buffer(count * kDescriptorLength);
    if (!buffer) {
        co_return busy();
    }
    const std::span<std::uint8_t> descriptors(
        reinterpret_cast<std::uint8_t*>(buffer.bytes().data()), buffer.bytes().size());
    fetch(command, kHeaderLength, descriptors);
    const Ending checked = check_descriptors(unit, descriptors, count);
    if (!checked.is_good()) {
        co_return checked;
    }
    co_return co_await unmap_descriptors(unit, queue, command, descriptors, count);
}

}  // namespace lunkit::scsi
