// SPDX-License-Identifier: Apache-2.0
// The table of RecordingHost. An operation takes effect when the queue chooses it: its place in the
// order of completions is its place in the order of effects. What is written is remembered as it
// was when issued, and again if the buffer has changed by then.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "lunkit/io_request.hpp"
#include "rig/recording_host.hpp"

namespace lunkit::qcow_rig {

namespace {

using File = RecordingHost::File;
using Kind = FileEvent::Kind;

RecordingHost& host() {
    return *RecordingHost::current();
}

const lunkit_data& real_data(const lunkit_data& data) {
    return data.kind == LUNKIT_DATA_HOST ? *reinterpret_cast<const lunkit_data*>(data.reserved[0])
                                         : data;
}

File& file_of(lunkit_file* file) {
    return *reinterpret_cast<File*>(file);
}

std::uint64_t size_of(int fd) {
    struct stat status{};
    return ::fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

/// Bytes read before the end of the file, or -errno.
std::int64_t read_at(int fd, std::span<std::byte> to, std::uint64_t offset) {
    std::size_t done = 0;
    while (done < to.size()) {
        const ssize_t got =
            ::pread(fd, &to[done], to.size() - done, static_cast<off_t>(offset + done));
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            break;
        }
        done += static_cast<std::size_t>(got);
    }
    return static_cast<std::int64_t>(done);
}

/// Behind intercept.cpp's back: these writes are in the log already.
std::int64_t write_at(int fd, std::span<const std::byte> from, std::uint64_t offset) {
    std::size_t done = 0;
    while (done < from.size()) {
        const long got = ::syscall(SYS_pwrite64, fd, &from[done], from.size() - done,
                                   static_cast<off_t>(offset + done));
        if (got <= 0) {
            return -EIO;
        }
        done += static_cast<std::size_t>(got);
    }
    return static_cast<std::int64_t>(done);
}

int punch(int fd, std::uint64_t offset, std::uint64_t length) {
    const long status = ::syscall(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                  static_cast<off_t>(offset), static_cast<off_t>(length));
    return status == 0 ? 0 : -errno;
}

/// An operation between its submission and the moment the queue runs it.
struct Operation {
    File& file;
    FileCall call;
    std::uint64_t offset = 0;
    const lunkit_data* data = nullptr;  // kRead, kWrite
    std::uint64_t data_offset = 0;
    std::uint64_t length = 0;
    Fault fault = {};
    bool recorded = false;
    std::uint32_t event = 0;
    Bytes bytes = {};  // kWrite: as issued
    lunkit_completion* completion = nullptr;

    void complete(Bytes late = {}) const {
        if (recorded) {
            host().log()->complete(event, std::move(late));
        }
    }

    std::int64_t run_read() const {
        Bytes to(length);
        const std::int64_t got = read_at(file.fd.get(), to, offset);
        if (got < 0) {
            return got;
        }
        copy_to_iov(*data, data_offset, {to.data(), static_cast<std::size_t>(got)});
        if (static_cast<std::uint64_t>(got) < length) {
            completion->error_offset = static_cast<std::uint64_t>(got);
            return -EIO;
        }
        return got;
    }
    std::int64_t run_write() const {
        Bytes late(length);
        copy_from_iov(*data, data_offset, late);
        if (late == bytes) {
            late.clear();
        } else {
            host().count_unstable_write();
        }
        const std::int64_t done = write_at(file.fd.get(), late.empty() ? bytes : late, offset);
        complete(std::move(late));
        return done;
    }
    std::int64_t run() const {
        if (fault.error != 0 && !fault.applied) {
            return -fault.error;
        }
        std::int64_t result = 0;
        switch (call) {
            case FileCall::kRead:
                result = run_read();
                break;
            case FileCall::kWrite:
                result = run_write();
                break;
            case FileCall::kFlush:
                complete();
                result = file.latched;
                break;
            case FileCall::kDiscard:
            case FileCall::kZero:
                result = punch(file.fd.get(), offset, length);
                complete();
                break;
        }
        return fault.error != 0 ? -fault.error : result;
    }
};

std::int64_t run_operation(void* argument) {
    const std::unique_ptr<Operation> operation(static_cast<Operation*>(argument));
    return operation->run();
}

FileEvent event_of(const Operation& operation, std::uint32_t flags) {
    FileEvent event;
    event.file = operation.file.index;
    event.offset = operation.offset;
    event.length = operation.length;
    event.fua = (flags & LUNKIT_IO_FUA) != 0;
    event.data = operation.bytes;
    event.size_before = size_of(operation.file.fd.get());
    event.kind = operation.call == FileCall::kWrite   ? Kind::kWrite
                 : operation.call == FileCall::kFlush ? Kind::kFlush
                                                      : Kind::kZero;
    return event;
}

int submit(std::unique_ptr<Operation> operation, std::uint32_t flags,
           lunkit_completion* completion) {
    RecordingHost& here = host();
    File& file = operation->file;
    completion->error_offset = LUNKIT_NO_OFFSET;
    completion->error_class = LUNKIT_ERROR_UNSPECIFIED;
    operation->completion = completion;
    operation->fault = here.fault(file, operation->call, operation->offset, operation->length);
    if (operation->call == FileCall::kFlush && operation->fault.error != 0) {
        file.latched = -operation->fault.error;
        operation->fault.applied = false;
    }
    const bool happens = operation->fault.error == 0 || operation->fault.applied;
    const bool lost = operation->call == FileCall::kFlush && file.latched != 0;
    if (operation->call == FileCall::kWrite) {
        operation->bytes.resize(operation->length);
        copy_from_iov(*operation->data, operation->data_offset, operation->bytes);
    }
    if (operation->call != FileCall::kRead && here.records(file) && happens && !lost) {
        operation->recorded = true;
        operation->event = here.log()->issue(event_of(*operation, flags));
    }
    if (operation->call == FileCall::kRead && operation->fault.error == 0 && here.flip() &&
        here.flip()) {
        completion->result = operation->run();  // sometimes the page cache has it
        return completion->result < 0 ? static_cast<int>(completion->result) : LUNKIT_DONE;
    }
    const FileCall call = operation->call;
    const std::uint64_t offset = operation->offset;
    const std::uint64_t length = operation->length;
    return here.run_later(call, offset, length, run_operation, operation.release(), completion);
}

int call_file_read(lunkit_queue* /*queue*/, lunkit_file* file, std::uint64_t offset,
                   const lunkit_data* data, std::uint64_t data_offset, std::uint64_t length,
                   lunkit_completion* completion) {
    return submit(std::make_unique<Operation>(Operation{.file = file_of(file),
                                                        .call = FileCall::kRead,
                                                        .offset = offset,
                                                        .data = &real_data(*data),
                                                        .data_offset = data_offset,
                                                        .length = length}),
                  0, completion);
}

int call_file_write(lunkit_queue* /*queue*/, lunkit_file* file, std::uint64_t offset,
                    const lunkit_data* data, std::uint64_t data_offset, std::uint64_t length,
                    std::uint32_t flags, lunkit_completion* completion) {
    if (file_of(file).read_only) {
        return -EROFS;
    }
    if (host().has_block_devices() && offset + length > size_of(file_of(file).fd.get())) {
        return -ENOSPC;
    }
    return submit(std::make_unique<Operation>(Operation{.file = file_of(file),
                                                        .call = FileCall::kWrite,
                                                        .offset = offset,
                                                        .data = &real_data(*data),
                                                        .data_offset = data_offset,
                                                        .length = length}),
                  flags, completion);
}

int call_file_flush(lunkit_queue* /*queue*/, lunkit_file* file, lunkit_completion* completion) {
    return submit(
        std::make_unique<Operation>(Operation{.file = file_of(file), .call = FileCall::kFlush}), 0,
        completion);
}

int make_zeros(File& file, FileCall call, std::uint64_t offset, std::uint64_t length,
               lunkit_completion* completion) {
    if (file.read_only) {
        return -EROFS;
    }
    if (length == 0) {
        completion->result = 0;
        return LUNKIT_DONE;
    }
    return submit(std::make_unique<Operation>(
                      Operation{.file = file, .call = call, .offset = offset, .length = length}),
                  0, completion);
}

int call_file_discard(lunkit_queue* /*queue*/, lunkit_file* file, std::uint64_t offset,
                      std::uint64_t length, lunkit_completion* completion) {
    return make_zeros(file_of(file), FileCall::kDiscard, offset, length, completion);
}

int call_file_zero(lunkit_queue* /*queue*/, lunkit_file* file, std::uint64_t offset,
                   std::uint64_t length, std::uint32_t /*flags*/, lunkit_completion* completion) {
    return make_zeros(file_of(file), FileCall::kZero, offset, length, completion);
}

int call_file_extents(lunkit_queue* /*queue*/, lunkit_file* file, std::uint64_t offset,
                      std::uint64_t length, lunkit_extent_list* list,
                      lunkit_completion* completion) {
    const int fd = file_of(file).fd.get();
    const std::uint64_t end = offset + length;
    list->count = 0;
    while (offset < end && list->count < list->capacity) {
        const off_t data = ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
        const bool hole = data < 0 || static_cast<std::uint64_t>(data) > offset;
        const off_t next = hole ? data : ::lseek(fd, static_cast<off_t>(offset), SEEK_HOLE);
        const std::uint64_t stop = next < 0 ? end : std::min(end, static_cast<std::uint64_t>(next));
        list->extents[list->count++] = {stop - offset,
                                        hole ? LUNKIT_EXTENT_HOLE | LUNKIT_EXTENT_ZERO : 0U, 0};
        offset = stop;
    }
    completion->result = 0;
    return LUNKIT_DONE;
}

int call_file_resize(lunkit_file* handle, std::uint64_t size) {
    // Intercepted and recorded.
    return ::ftruncate(file_of(handle).fd.get(), static_cast<off_t>(size)) == 0 ? 0 : -errno;
}

void explain(const lunkit_file_open& request, const std::string& text) {
    if (request.error != nullptr && request.error_size > 0) {
        const std::size_t length = std::min(request.error_size - 1, text.size());
        std::memcpy(request.error, text.data(), length);
        request.error[length] = '\0';
    }
}

int call_file_open(const lunkit_file_open* request, lunkit_file** file) {
    std::string path = request->path;
    if ((request->flags & LUNKIT_FILE_CONFINED) != 0) {
        if (request->base == nullptr || path.find("..") != std::string::npos) {
            explain(*request, path + " leaves its folder");
            return -EXDEV;
        }
        path = path.starts_with('/') ? path : std::string(request->base) + "/" + path;
    }
    auto opened = std::make_unique<File>();
    opened->read_only = (request->flags & LUNKIT_FILE_READ_ONLY) != 0;
    const bool create = (request->flags & LUNKIT_FILE_CREATE) != 0;
    const int mode = (opened->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | (create ? O_CREAT : 0);
    opened->fd.reset(::open(path.c_str(), mode, 0600));
    if (!opened->fd) {
        const int error = errno;
        explain(*request, path + ": cannot be opened");
        return -error;
    }
    if (create && size_of(opened->fd.get()) == 0) {
        (void)::syscall(SYS_ftruncate, opened->fd.get(), request->size);  // seen by file_info
    }
    opened->path = path;
    Bytes content;
    if (host().records(*opened)) {
        content.resize(size_of(opened->fd.get()));
        (void)read_at(opened->fd.get(), content, 0);  // a short read shows in every replay
    }
    *file = reinterpret_cast<lunkit_file*>(host().add_file(std::move(opened), std::move(content)));
    return 0;
}

void call_file_close(lunkit_file* file) {
    host().remove_file(&file_of(file));
}

int call_file_info(lunkit_file* handle, lunkit_file_info* info) {
    const File& file = file_of(handle);
    lunkit_file_info known{};
    known.struct_size = info->struct_size;
    known.is_block_device = host().has_block_devices() && !file.read_only ? 1 : 0;
    known.read_only = file.read_only ? 1 : 0;
    known.size = size_of(file.fd.get());
    known.logical_block_size = 1;
    known.physical_block_size = 4096;
    known.discard_granularity = 4096;
    known.fd = file.fd.get();
    std::memcpy(info, &known, std::min<std::size_t>(info->struct_size, sizeof known));
    return 0;
}

void call_log(void* /*device*/, int level, const char* message) {
    if (level <= LUNKIT_LOG_WARNING) {
        host().add_message(message);
    }
}

int call_copy_from(const lunkit_data* data, std::uint64_t offset, void* to, std::uint64_t length) {
    if (!ByteRange::fits(offset, length, data->length)) {
        return -EINVAL;
    }
    copy_from_iov(real_data(*data), offset, {static_cast<std::byte*>(to), length});
    return 0;
}

int call_copy_to(const lunkit_data* data, std::uint64_t offset, const void* from,
                 std::uint64_t length) {
    if (!ByteRange::fits(offset, length, data->length)) {
        return -EINVAL;
    }
    copy_to_iov(real_data(*data), offset, {static_cast<const std::byte*>(from), length});
    return 0;
}

int call_map(const lunkit_data* data, std::uint64_t offset, std::uint64_t length, iovec* iov,
             std::uint32_t capacity) {
    if (data->kind == LUNKIT_DATA_HOST) {
        return -EOPNOTSUPP;
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

int call_offload(lunkit_queue* queue, const void* /*lane*/, std::int64_t (*function)(void*),
                 void* argument, lunkit_completion* completion) {
    return RigQueue::of(queue).offload(function, argument, completion);
}

int call_timer(lunkit_queue* queue, std::uint64_t nanoseconds, lunkit_completion* completion) {
    return RigQueue::of(queue).timer(nanoseconds, completion);
}

int call_poll(lunkit_queue* /*queue*/, int /*fd*/, std::uint32_t /*events*/,
              lunkit_completion* /*completion*/) {
    return -EOPNOTSUPP;
}

void call_cancel(lunkit_queue* queue, lunkit_completion* completion) {
    RigQueue::of(queue).cancel(completion);
}

void call_post(lunkit_queue* queue, lunkit_completion* completion) {
    RigQueue::of(queue).post(completion);
}

void* call_allocate(std::uint64_t size) {
    constexpr std::size_t kPage = 4096;
    return std::aligned_alloc(kPage, (size + kPage - 1) / kPage * kPage);
}

void call_release(void* memory, std::uint64_t /*size*/) {
    std::free(memory);
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
    table.size_changed = [](void*, std::uint64_t) {};
    table.handing_over = [](void*) { return 0; };
    return table;
}

}  // namespace

const lunkit_host& RecordingHost::table() {
    static const lunkit_host kTable = make_table();
    return kTable;
}

}  // namespace lunkit::qcow_rig
