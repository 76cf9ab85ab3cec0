// SPDX-License-Identifier: Apache-2.0
// OrderedHost: a lunkit_host with one file at a time, whose operations end on a FakeQueue when the
// test wants them to. What they do, they do to a real file.
//
//   host.hold("flush");                    // from now on flushes wait
//   start(device.flush(host.queue()));     // host.held() == 1
//   host.release();                        // those that wait are done; later ones do not wait
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lunkit/handler.h"
#include "lunkit/io_request.hpp"
#include "lunkit/result.hpp"
#include "support/fake_queue.hpp"

namespace lunkit::test {

/// A request that was started.
struct Started {
    std::string bytes;
    std::unique_ptr<SingleData> data;
    IoRequest io;
    std::optional<Status> ended;
};

/// There is one at a time: the host calls carry no context of their own.
class OrderedHost {
  public:
    OrderedHost() { current() = this; }
    OrderedHost(const OrderedHost&) = delete;
    OrderedHost& operator=(const OrderedHost&) = delete;
    OrderedHost(OrderedHost&&) = delete;
    OrderedHost& operator=(OrderedHost&&) = delete;
    ~OrderedHost() { current() = nullptr; }

    FakeQueue& queue() { return queue_; }
    [[nodiscard]] const lunkit_host& table() const { return table_; }

    /// "read", "write 4096", "zero 4096", "discard 4096" (the offset in the file) and "flush", in
    /// the order of their calls.
    std::vector<std::string> calls;
    /// Calls with these names fail, with these errno values, without effect.
    std::map<std::string, int> faults;
    bool handing_over = false;
    /// There is no memory for this allocation, counted from now on. 0: there is for all.
    std::uint64_t allocations = 0;

    /// Calls whose name begins so wait until release().
    void hold(std::string name) { hold_ = std::move(name); }
    [[nodiscard]] std::size_t held() const { return held_.size(); }
    void release() {
        hold_.clear();
        for (const Held& one : std::exchange(held_, {})) {
            one.completion->result = one.work();
            queue_.post(one.completion);
        }
    }

    /// Of those that wait, the first is done.
    void release_one() {
        const Held one = std::move(held_.front());
        held_.erase(held_.begin());
        one.completion->result = one.work();
        queue_.post(one.completion);
    }
    /// Those that wait end with this errno value, without effect, when the queue runs.
    void fail_held(int error) {
        hold_.clear();
        for (const Held& one : std::exchange(held_, {})) {
            one.completion->result = -error;
            queue_.post(one.completion);
        }
    }

  private:
    struct Held {
        std::function<int()> work;
        lunkit_completion* completion;
    };

    static OrderedHost*& current() {
        static OrderedHost* one = nullptr;
        return one;
    }
    int run(const std::string& name, lunkit_completion* completion, std::function<int()> work) {
        calls.push_back(name);
        if (const auto fault = faults.find(name); fault != faults.end()) {
            return -fault->second;
        }
        if (!hold_.empty() && name.starts_with(hold_)) {
            held_.push_back({std::move(work), completion});
            return LUNKIT_PENDING;
        }
        const int status = work();
        return status < 0 ? status : LUNKIT_DONE;
    }
    static int open(const lunkit_file_open* request, lunkit_file** file) {
        OrderedHost& host = *current();
        const bool create = (request->flags & LUNKIT_FILE_CREATE) != 0;
        host.created_ = create && ::access(request->path, F_OK) != 0;
        host.fd_ = ::open(request->path, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
        if (host.fd_ < 0) {
            return -errno;
        }
        if (host.created_ && ::ftruncate(host.fd_, static_cast<off_t>(request->size)) != 0) {
            return -errno;
        }
        *file = reinterpret_cast<lunkit_file*>(&host);
        return 0;
    }
    static void close(lunkit_file* /*file*/) { ::close(std::exchange(current()->fd_, -1)); }
    static int info(lunkit_file* /*file*/, lunkit_file_info* info) {
        struct stat status{};
        if (::fstat(current()->fd_, &status) != 0) {
            return -errno;
        }
        info->size = static_cast<std::uint64_t>(status.st_size);
        info->logical_block_size = 1;
        info->physical_block_size = 4096;
        info->discard_granularity = 4096;
        info->fd = current()->fd_;
        info->was_created = current()->created_ ? 1 : 0;
        return 0;
    }
    static int transfer(const char* name, bool writes, std::uint64_t offset,
                        const lunkit_data* data, std::uint64_t data_offset, std::uint64_t length,
                        lunkit_completion* completion) {
        void* const bytes = static_cast<char*>(data->iov[0].iov_base) + data_offset;
        return current()->run(name + std::to_string(offset), completion, [=] {
            const auto at = static_cast<off_t>(offset);
            const int fd = current()->fd_;
            const ssize_t count =
                writes ? ::pwrite(fd, bytes, length, at) : ::pread(fd, bytes, length, at);
            return count == static_cast<ssize_t>(length) ? 0 : -EIO;
        });
    }
    static int punch(const char* name, std::uint64_t offset, std::uint64_t length,
                     lunkit_completion* completion) {
        return current()->run(name + std::to_string(offset), completion, [=] {
            const int done = ::fallocate(current()->fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                         static_cast<off_t>(offset), static_cast<off_t>(length));
            return done == 0 ? 0 : -errno;
        });
    }
    static lunkit_host make_table() {
        lunkit_host table{};
        table.struct_size = sizeof table;
        table.abi_version = LUNKIT_ABI_VERSION;
        table.log = [](void*, int, const char*) {};
        table.copy_to = [](const lunkit_data* data, std::uint64_t offset, const void* from,
                           std::uint64_t length) {
            std::memcpy(static_cast<char*>(data->iov[0].iov_base) + offset, from, length);
            return 0;
        };
        table.file_open = open;
        table.file_close = close;
        table.file_info = info;
        table.file_read = [](lunkit_queue*, lunkit_file*, std::uint64_t offset,
                             const lunkit_data* data, std::uint64_t data_offset,
                             std::uint64_t length, lunkit_completion* completion) {
            return transfer("read ", false, offset, data, data_offset, length, completion);
        };
        table.file_write = [](lunkit_queue*, lunkit_file*, std::uint64_t offset,
                              const lunkit_data* data, std::uint64_t data_offset,
                              std::uint64_t length, std::uint32_t, lunkit_completion* completion) {
            return transfer("write ", true, offset, data, data_offset, length, completion);
        };
        table.file_flush = [](lunkit_queue*, lunkit_file*, lunkit_completion* completion) {
            return current()->run("flush", completion, [] { return 0; });
        };
        table.file_resize = [](lunkit_file*, std::uint64_t size) {
            return ::ftruncate(current()->fd_, static_cast<off_t>(size)) == 0 ? 0 : -errno;
        };
        table.file_discard = [](lunkit_queue*, lunkit_file*, std::uint64_t offset,
                                std::uint64_t length, lunkit_completion* completion) {
            return punch("discard ", offset, length, completion);
        };
        table.file_zero = [](lunkit_queue*, lunkit_file*, std::uint64_t offset,
                             std::uint64_t length, std::uint32_t, lunkit_completion* completion) {
            return punch("zero ", offset, length, completion);
        };
        table.allocate = [](std::uint64_t size) -> void* {
            std::uint64_t& left = current()->allocations;
            const bool is_last = left == 1;
            left -= left > 0 ? 1 : 0;
            return is_last ? nullptr : std::aligned_alloc(4096, size);
        };
        table.release = [](void* memory, std::uint64_t) { std::free(memory); };
        table.handing_over = [](void*) { return current()->handing_over ? 1 : 0; };
        return table;
    }

    const lunkit_host table_ = make_table();
    FakeQueue queue_;
    int fd_ = -1;
    bool created_ = false;
    std::string hold_;
    std::vector<Held> held_;
};

}  // namespace lunkit::test
