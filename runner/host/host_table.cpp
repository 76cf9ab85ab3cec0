// SPDX-License-Identifier: Apache-2.0
#include "host/host_table.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "core/engine_queue.hpp"
#include "core/log.hpp"
#include "host/io_memory.hpp"
#include "host/local_file.hpp"
#include "host/sized_struct.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/request.hpp"

namespace lunkit::host {

namespace {

using core::EngineQueue;

/// 0, or why the runner cannot reach data[offset, offset + length).
int reach(const lunkit_data& data, std::uint64_t offset, std::uint64_t length) {
    if (!ByteRange::fits(offset, length, data.length)) {
        return -EINVAL;
    }
    return data.kind == LUNKIT_DATA_IOV ? 0 : -EOPNOTSUPP;
}

void call_log(void* device, int level, const char* message) {
    const core::LogSubject subject{
        device != nullptr ? static_cast<HostDevice*>(device)->label.get() : std::string_view(), 0};
    const int known = std::clamp<int>(level, LUNKIT_LOG_ERROR, LUNKIT_LOG_DEBUG);
    if (core::log_enabled(static_cast<core::LogLevel>(known), subject.device)) {
        core::log_line(static_cast<core::LogLevel>(known), subject, message);
    }
}

int call_copy_from(const lunkit_data* data, std::uint64_t offset, void* to, std::uint64_t length) {
    if (const int error = reach(*data, offset, length); error != 0) {
        return error;
    }
    copy_from_iov(*data, offset, {static_cast<std::byte*>(to), static_cast<std::size_t>(length)});
    return 0;
}

int call_copy_to(const lunkit_data* data, std::uint64_t offset, const void* from,
                 std::uint64_t length) {
    if (const int error = reach(*data, offset, length); error != 0) {
        return error;
    }
    copy_to_iov(*data, offset,
                {static_cast<const std::byte*>(from), static_cast<std::size_t>(length)});
    return 0;
}

int call_map(const lunkit_data* data, std::uint64_t offset, std::uint64_t length, iovec* iov,
             std::uint32_t capacity) {
    if (const int error = reach(*data, offset, length); error != 0) {
        return error;
    }
    std::uint32_t count = 0;
    for_each_piece(*data, offset, length, [&](std::byte* piece, std::size_t size) {
        if (count < capacity) {
            iov[count] = {piece, size};
        }
        ++count;
    });
    return count <= capacity ? static_cast<int>(count) : -E2BIG;
}

int call_file_open(const lunkit_file_open* request, lunkit_file** file) {
    const lunkit_file_open known = copy_in(request);
    if (known.path == nullptr) {  // or struct_size ends before it
        return -EINVAL;
    }
    FileRequest wanted;
    wanted.path = known.path;
    wanted.base = known.base != nullptr ? known.base : "";
    wanted.flags = known.flags;
    wanted.size = known.size;
    auto opened = LocalFile::open(wanted);
    if (!opened) {
        put_sentence(opened.error().what, known.error, known.error_size);
        return -opened.error().code;
    }
    *file = opened->release()->handle();
    return 0;
}

void call_file_close(lunkit_file* file) {
    delete &LocalFile::of(file);
}

int call_file_info(lunkit_file* file, lunkit_file_info* info) {
    const auto known = LocalFile::of(file).info();
    if (!known) {
        return -known.error().code;
    }
    copy_out(*known, info);
    return 0;
}

int call_file_read(lunkit_queue* queue, lunkit_file* file, std::uint64_t offset,
                   const lunkit_data* data, std::uint64_t data_offset, std::uint64_t length,
                   lunkit_completion* completion) {
    return LocalFile::of(file).read(EngineQueue::of(queue), offset, *data, data_offset, length,
                                    completion);
}

int call_file_write(lunkit_queue* queue, lunkit_file* file, std::uint64_t offset,
                    const lunkit_data* data, std::uint64_t data_offset, std::uint64_t length,
                    std::uint32_t flags, lunkit_completion* completion) {
    return LocalFile::of(file).write(EngineQueue::of(queue), offset, *data, data_offset, length,
                                     flags, completion);
}

int call_file_flush(lunkit_queue* queue, lunkit_file* file, lunkit_completion* completion) {
    return LocalFile::of(file).flush(EngineQueue::of(queue), completion);
}

int call_file_discard(lunkit_queue* queue, lunkit_file* file, std::uint64_t offset,
                      std::uint64_t length, lunkit_completion* completion) {
    return LocalFile::of(file).discard(EngineQueue::of(queue), offset, length, completion);
}

int call_file_zero(lunkit_queue* queue, lunkit_file* file, std::uint64_t offset,
                   std::uint64_t length, std::uint32_t flags, lunkit_completion* completion) {
    return LocalFile::of(file).zero(EngineQueue::of(queue), offset, length, flags, completion);
}

int call_file_extents(lunkit_queue* queue, lunkit_file* file, std::uint64_t offset,
                      std::uint64_t length, lunkit_extent_list* list,
                      lunkit_completion* completion) {
    return LocalFile::of(file).extents(EngineQueue::of(queue), offset, length, *list, completion);
}

int call_file_resize(lunkit_file* file, std::uint64_t size) {
    const Status status = LocalFile::of(file).resize(size);
    if (!status) {
        core::log(core::LogLevel::kDebug, {}, "{}", status.error().what);
        return -status.error().code;
    }
    return 0;
}

int call_offload(lunkit_queue* queue, const void* lane, std::int64_t (*function)(void*),
                 void* argument, lunkit_completion* completion) {
    return EngineQueue::of(queue).submit_offload(lane, function, argument, completion);
}

int call_timer(lunkit_queue* queue, std::uint64_t nanoseconds, lunkit_completion* completion) {
    return EngineQueue::of(queue).submit_timer(nanoseconds, completion);
}

int call_poll(lunkit_queue* queue, int fd, std::uint32_t events, lunkit_completion* completion) {
    return EngineQueue::of(queue).submit_poll(fd, events, completion);
}

void call_cancel(lunkit_queue* queue, lunkit_completion* completion) {
    EngineQueue::of(queue).cancel(completion);
}

void call_post(lunkit_queue* queue, lunkit_completion* completion) {
    EngineQueue::of(queue).post(completion);
}

void* call_allocate(std::uint64_t size) {
    return allocate_pages(size);
}

void call_release(void* memory, std::uint64_t /*size*/) {
    release_pages(memory);
}

void call_size_changed(void* host_device, std::uint64_t size) {
    if (const auto& told = static_cast<HostDevice*>(host_device)->size_changed; told) {
        told(size);
    }
}

int call_handing_over(void* host_device) {
    const auto& asked = static_cast<HostDevice*>(host_device)->handing_over;
    return asked && asked() ? 1 : 0;
}

lunkit_host make_table() {
    lunkit_host table{};
    table.struct_size = sizeof table;
    table.abi_version = LUNKIT_ABI_VERSION;
    table.log = call_log;
    table.copy_from = call_copy_from;
    table.copy_to = call_copy_to;
    table.map = call_map;
    table.file_open = call_file_open;
    table.file_close = call_file_close;
    table.file_info = call_file_info;
    table.file_read = call_file_read;
    table.file_write = call_file_write;
    table.file_flush = call_file_flush;
    table.file_discard = call_file_discard;
    table.file_zero = call_file_zero;
    table.file_extents = call_file_extents;
    table.file_resize = call_file_resize;
    table.offload = call_offload;
    table.timer = call_timer;
    table.poll = call_poll;
    table.cancel = call_cancel;
    table.post = call_post;
    table.allocate = call_allocate;
    table.release = call_release;
    table.size_changed = call_size_changed;
    table.handing_over = call_handing_over;
    return table;
}

}  // namespace

const lunkit_host& host_table() {
    static const lunkit_host table = make_table();
    return table;
}

}  // namespace lunkit::host
