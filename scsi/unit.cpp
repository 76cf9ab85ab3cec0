// SPDX-License-Identifier: Apache-2.0
#include "scsi/unit.hpp"

#include <bit>

#include "scsi/errno_sense.hpp"

namespace lunkit::scsi {

Unit::Unit(BlockDevice& block_device, Initiators& front_end, LogicalUnitOptions unit_options)
    : device(block_device, copies.tokens),
      initiators(front_end),
      options(unit_options),
      block_shift(static_cast<unsigned>(std::countr_zero(options.block_size))) {
    mode.write_cache_enabled = options.write_cache;
    default_mode = mode;
    refresh();
    if (options.memory != nullptr) {
        recall();
    }
}

void Unit::refresh() {
    info = device.info();
    copies.tokens.change({info.size, ~info.size});  // blocks that are gone
    limits = make_block_limits(info, options);
    mode.soft_threshold_count = has_thresholds(*this) ? threshold_count(*this) : 0;
    mode.is_cd = is_cd();
    default_mode.soft_threshold_count = mode.soft_threshold_count;
    default_mode.is_cd = mode.is_cd;
}

std::optional<ByteRange> Unit::range(std::uint64_t logical_block_address,
                                     std::uint64_t blocks) const {
    if (!ByteRange::fits(logical_block_address, blocks, capacity_blocks())) {
        return {};
    }
    return ByteRange{logical_block_address * options.block_size, blocks * options.block_size};
}

Task<Ending> Unit::flush(Queue& queue) {
    const Status flushed = co_await device.flush(queue);
    co_return flushed ? good() : ending_of(flushed.error(), FailedOperation{Direction::kWrite});
}

Task<Status> Unit::set_write_cache(Queue& queue, bool enabled) {
    const bool before = mode.write_cache_enabled;
    mode.write_cache_enabled = enabled;
    if (!enabled) {
        Status flushed = co_await device.flush(queue);
        if (!flushed) {
            mode.write_cache_enabled = before;
            co_return flushed;
        }
    }
    remember();
    co_return Status();
}

std::optional<Ending> check_block_cdb(const Unit& unit, const BlockCdb& cdb,
                                      std::uint64_t maximum_length) {
    if (cdb.protect != 0) {
        return invalid_field_in_cdb(cdb.flags_at, 7);
    }
    if (!unit.range(cdb.logical_block_address, cdb.number_of_logical_blocks)) {
        return logical_block_address_out_of_range();
    }
    if (cdb.number_of_logical_blocks > maximum_length) {
        return invalid_field_in_cdb(cdb.length_at);
    }
    return {};
}

}  // namespace lunkit::scsi
