// SPDX-License-Identifier: Apache-2.0
// The layout of every public struct, in numbers (64-bit). A number that changes breaks plugins in
// the field: fields are appended, or take the place of reserved ones, and nothing else. New fields
// get their line here.
#include <gtest/gtest.h>

#include <cstddef>

#include "lunkit/handler.h"

// NOLINTBEGIN(cppcoreguidelines-macro-usage): a table
#define SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type " changed its size")
#define AT(type, field, offset) \
    static_assert(offsetof(type, field) == (offset), #type "::" #field " moved")
// NOLINTEND(cppcoreguidelines-macro-usage)

SIZE(lunkit_completion, 48);
AT(lunkit_completion, done, 0);
AT(lunkit_completion, result, 8);
AT(lunkit_completion, error_offset, 16);
AT(lunkit_completion, error_class, 24);
AT(lunkit_completion, reserved32, 28);
AT(lunkit_completion, reserved, 32);

SIZE(lunkit_data, 40);
AT(lunkit_data, kind, 0);
AT(lunkit_data, iov_count, 4);
AT(lunkit_data, iov, 8);
AT(lunkit_data, length, 16);
AT(lunkit_data, reserved, 24);

SIZE(lunkit_io, 64);
AT(lunkit_io, struct_size, 0);
AT(lunkit_io, flags, 4);
AT(lunkit_io, offset, 8);
AT(lunkit_io, length, 16);
AT(lunkit_io, data, 24);
AT(lunkit_io, data_offset, 32);
AT(lunkit_io, tag, 40);
AT(lunkit_io, progress, 48);
AT(lunkit_io, reserved, 56);

SIZE(lunkit_extent, 16);
AT(lunkit_extent, length, 0);
AT(lunkit_extent, flags, 8);
AT(lunkit_extent, reserved32, 12);

SIZE(lunkit_zone, 48);
AT(lunkit_zone, start, 0);
AT(lunkit_zone, length, 8);
AT(lunkit_zone, write_pointer, 16);
AT(lunkit_zone, type, 24);
AT(lunkit_zone, condition, 28);
AT(lunkit_zone, reserved, 32);

SIZE(lunkit_zone_list, 16);
AT(lunkit_zone_list, zones, 0);
AT(lunkit_zone_list, capacity, 8);
AT(lunkit_zone_list, count, 12);

SIZE(lunkit_extent_list, 16);
AT(lunkit_extent_list, extents, 0);
AT(lunkit_extent_list, capacity, 8);
AT(lunkit_extent_list, count, 12);

SIZE(lunkit_space, 48);
AT(lunkit_space, struct_size, 0);
AT(lunkit_space, flags, 4);
AT(lunkit_space, used, 8);
AT(lunkit_space, available, 16);
AT(lunkit_space, reserved, 24);

SIZE(lunkit_file_open, 80);
AT(lunkit_file_open, struct_size, 0);
AT(lunkit_file_open, flags, 4);
AT(lunkit_file_open, path, 8);
AT(lunkit_file_open, base, 16);
AT(lunkit_file_open, size, 24);
AT(lunkit_file_open, error, 32);
AT(lunkit_file_open, error_size, 40);
AT(lunkit_file_open, reserved, 48);

SIZE(lunkit_file_info, 80);
AT(lunkit_file_info, struct_size, 0);
AT(lunkit_file_info, is_block_device, 4);
AT(lunkit_file_info, is_rotational, 8);
AT(lunkit_file_info, read_only, 12);
AT(lunkit_file_info, size, 16);
AT(lunkit_file_info, logical_block_size, 24);
AT(lunkit_file_info, physical_block_size, 28);
AT(lunkit_file_info, optimal_io_size, 32);
AT(lunkit_file_info, discard_granularity, 36);
AT(lunkit_file_info, fd, 40);
AT(lunkit_file_info, was_created, 44);
AT(lunkit_file_info, reserved, 48);

SIZE(lunkit_host, 248);
AT(lunkit_host, struct_size, 0);
AT(lunkit_host, abi_version, 4);
AT(lunkit_host, log, 8);
AT(lunkit_host, copy_from, 16);
AT(lunkit_host, copy_to, 24);
AT(lunkit_host, map, 32);
AT(lunkit_host, file_open, 40);
AT(lunkit_host, file_close, 48);
AT(lunkit_host, file_info, 56);
AT(lunkit_host, file_read, 64);
AT(lunkit_host, file_write, 72);
AT(lunkit_host, file_flush, 80);
AT(lunkit_host, file_discard, 88);
AT(lunkit_host, file_zero, 96);
AT(lunkit_host, file_extents, 104);
AT(lunkit_host, file_resize, 112);
AT(lunkit_host, offload, 120);
AT(lunkit_host, timer, 128);
AT(lunkit_host, poll, 136);
AT(lunkit_host, cancel, 144);
AT(lunkit_host, post, 152);
AT(lunkit_host, allocate, 160);
AT(lunkit_host, release, 168);
AT(lunkit_host, size_changed, 176);
AT(lunkit_host, handing_over, 184);
AT(lunkit_host, reserved, 192);

SIZE(lunkit_device_info, 120);
AT(lunkit_device_info, struct_size, 0);
AT(lunkit_device_info, flags, 4);
AT(lunkit_device_info, size, 8);
AT(lunkit_device_info, min_block_size, 16);
AT(lunkit_device_info, physical_block_size, 20);
AT(lunkit_device_info, optimal_io_size, 24);
AT(lunkit_device_info, discard_granularity, 28);
AT(lunkit_device_info, max_transfer, 32);
AT(lunkit_device_info, max_discard, 40);
AT(lunkit_device_info, max_write_zeroes, 48);
AT(lunkit_device_info, max_atomic_write, 56);
AT(lunkit_device_info, device_type, 64);
AT(lunkit_device_info, max_open_zones, 68);
AT(lunkit_device_info, zone_size, 72);
AT(lunkit_device_info, reserved, 80);

SIZE(lunkit_open, 112);
AT(lunkit_open, struct_size, 0);
AT(lunkit_open, flags, 4);
AT(lunkit_open, config, 8);
AT(lunkit_open, name, 16);
AT(lunkit_open, size, 24);
AT(lunkit_open, block_size, 32);
AT(lunkit_open, reserved32, 36);
AT(lunkit_open, host, 40);
AT(lunkit_open, host_device, 48);
AT(lunkit_open, info, 56);
AT(lunkit_open, error, 64);
AT(lunkit_open, error_size, 72);
AT(lunkit_open, reserved, 80);

SIZE(lunkit_check, 72);
AT(lunkit_check, struct_size, 0);
AT(lunkit_check, flags, 4);
AT(lunkit_check, config, 8);
AT(lunkit_check, host, 16);
AT(lunkit_check, error, 24);
AT(lunkit_check, error_size, 32);
AT(lunkit_check, reserved, 40);

SIZE(lunkit_fact, 48);
AT(lunkit_fact, key, 0);
AT(lunkit_fact, text, 8);
AT(lunkit_fact, number, 16);
AT(lunkit_fact, kind, 24);
AT(lunkit_fact, reserved32, 28);
AT(lunkit_fact, reserved, 32);

SIZE(lunkit_inspect, 96);
AT(lunkit_inspect, struct_size, 0);
AT(lunkit_inspect, flags, 4);
AT(lunkit_inspect, config, 8);
AT(lunkit_inspect, host, 16);
AT(lunkit_inspect, queue, 24);
AT(lunkit_inspect, tell, 32);
AT(lunkit_inspect, context, 40);
AT(lunkit_inspect, error, 48);
AT(lunkit_inspect, error_size, 56);
AT(lunkit_inspect, reserved, 64);

SIZE(lunkit_handler, 312);
AT(lunkit_handler, struct_size, 0);
AT(lunkit_handler, abi_version, 4);
AT(lunkit_handler, name, 8);
AT(lunkit_handler, description, 16);
AT(lunkit_handler, config_help, 24);
AT(lunkit_handler, flags, 32);
AT(lunkit_handler, reserved32, 36);
AT(lunkit_handler, load, 40);
AT(lunkit_handler, unload, 48);
AT(lunkit_handler, check_config, 56);
AT(lunkit_handler, open, 64);
AT(lunkit_handler, close, 72);
AT(lunkit_handler, read, 80);
AT(lunkit_handler, write, 88);
AT(lunkit_handler, flush, 96);
AT(lunkit_handler, discard, 104);
AT(lunkit_handler, write_zeroes, 112);
AT(lunkit_handler, compare_and_write, 120);
AT(lunkit_handler, extents, 128);
AT(lunkit_handler, cancel, 136);
AT(lunkit_handler, read_blocking, 144);
AT(lunkit_handler, write_blocking, 152);
AT(lunkit_handler, flush_blocking, 160);
AT(lunkit_handler, discard_blocking, 168);
AT(lunkit_handler, write_zeroes_blocking, 176);
AT(lunkit_handler, resize, 184);
AT(lunkit_handler, set_write_cache, 192);
AT(lunkit_handler, report_zones, 200);
AT(lunkit_handler, open_zones, 208);
AT(lunkit_handler, close_zones, 216);
AT(lunkit_handler, finish_zones, 224);
AT(lunkit_handler, reset_zones, 232);
AT(lunkit_handler, reserved_for_zones, 240);
AT(lunkit_handler, space, 248);
AT(lunkit_handler, inspect, 256);
AT(lunkit_handler, reserved, 264);

TEST(Layout, PointersAreEightBytes) {
    // The table above is that of 64-bit platforms, the only ones there are plugins for.
    EXPECT_EQ(8U, sizeof(void*));
}
