// SPDX-License-Identifier: Apache-2.0
// dm_user_double: a dm-user target for kernels that have none. The control node /dev/dm-user/NAME
// is a character device in user space (CUSE), the mapped device a file in user space (FUSE): what
// is read, written, synced and punched there becomes requests of the model
// (support/dm_user_model.hpp), which the server of the node answers.
//
//   dm_user_double NAME BYTES MOUNTPOINT        serves MOUNTPOINT/NAME until SIGTERM
//
// SIGTERM removes the target: reads of the node end with ENOTBLK. What CUSE cannot do as the kernel
// does: it splits transfers by its own limit (128 KiB), and a read of more than is left of a
// message would go on with the next one, which a server that asks for the next part only never
// meets. A target that loses its last open fails its requests, as drivers of today do.
#define FUSE_USE_VERSION 312

#include <cuse_lowlevel.h>
#include <fuse.h>
#include <linux/falloc.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dm_user/abi.hpp"
#include "support/dm_user_model.hpp"

namespace {

namespace abi = lunkit::dm_user::abi;
using abi::RequestType;
using lunkit::test::DmUserModel;

/// More than a server can have channels: each may wait in a read.
constexpr unsigned kThreads = 200;

struct Double {
    DmUserModel model;
    std::string path;  // below the mount point, with its '/'
    std::uint64_t size = 0;
};

// The control node.

DmUserModel::Opened& opened(const fuse_file_info* file) {
    return *reinterpret_cast<DmUserModel::Opened*>(file->fh);
}

void node_open(fuse_req_t request, fuse_file_info* file) {
    auto& self = *static_cast<Double*>(fuse_req_userdata(request));
    file->fh = reinterpret_cast<std::uint64_t>(self.model.open().release());
    fuse_reply_open(request, file);
}

void node_read(fuse_req_t request, std::size_t size, off_t /*offset*/, fuse_file_info* file) {
    // A reader that is killed waits for this answer, for ever if none came.
    fuse_req_interrupt_func(
        request,
        [](fuse_req_t /*request*/, void* channel) {
            static_cast<DmUserModel::Opened*>(channel)->interrupt();
        },
        &opened(file));
    std::vector<std::byte> room(size);
    const auto got = opened(file).read(room);
    fuse_req_interrupt_func(request, nullptr, nullptr);
    if (got) {
        fuse_reply_buf(request, reinterpret_cast<const char*>(room.data()), *got);
    } else {
        fuse_reply_err(request, got.error().code);
    }
}

void node_write(fuse_req_t request, const char* bytes, std::size_t size, off_t /*offset*/,
                fuse_file_info* file) {
    const auto taken = opened(file).write(std::as_bytes(std::span(bytes, size)), {});
    if (taken) {
        fuse_reply_write(request, *taken);
    } else {
        fuse_reply_err(request, taken.error().code);
    }
}

void node_release(fuse_req_t request, fuse_file_info* file) {
    delete &opened(file);
    fuse_reply_err(request, 0);
}

// The device.

Double& device() {
    return *static_cast<Double*>(fuse_get_context()->private_data);
}

int run(DmUserModel::Request request, std::vector<std::byte>* data = nullptr) {
    DmUserModel::Completed completed = device().model.run(std::move(request));
    if (data != nullptr) {
        *data = std::move(completed.data);
    }
    return -completed.error;
}

bool is_in_sectors(off_t offset, off_t length) {
    constexpr off_t kSector = 1 << abi::kSectorShift;
    return offset % kSector == 0 && length % kSector == 0;
}

std::uint64_t sector_of(off_t offset) {
    return static_cast<std::uint64_t>(offset) >> abi::kSectorShift;
}

void* device_init(fuse_conn_info* /*connection*/, fuse_config* config) {
    config->direct_io = 1;  // each request as it comes
    return fuse_get_context()->private_data;
}

int device_getattr(const char* path, struct stat* status, fuse_file_info* /*file*/) {
    *status = {};
    if (std::strcmp(path, "/") == 0) {
        status->st_mode = S_IFDIR | 0700;
        return 0;
    }
    if (path != device().path) {
        return -ENOENT;
    }
    status->st_mode = S_IFREG | 0600;
    status->st_size = static_cast<off_t>(device().size);
    status->st_blksize = 1 << 20;  // what cmp and others read at a time
    return 0;
}

/// Whole sectors are asked for: FUSE splits a read wherever a page of its buffer ends.
int device_read(const char* /*path*/, char* bytes, std::size_t size, off_t offset,
                fuse_file_info* /*file*/) {
    const auto begin = static_cast<std::uint64_t>(offset);
    const std::uint64_t length =
        begin >= device().size ? 0 : std::min<std::uint64_t>(size, device().size - begin);
    if (length == 0) {
        return 0;
    }
    constexpr std::uint64_t kSector = 1U << abi::kSectorShift;
    const std::uint64_t skipped = begin % kSector;
    std::vector<std::byte> data;
    const int error = run({.type = RequestType::kRead,
                           .sector = sector_of(offset),
                           .len = (skipped + length + kSector - 1) / kSector * kSector},
                          &data);
    if (error != 0) {
        return error;
    }
    std::memcpy(bytes, data.data() + skipped, length);
    return static_cast<int>(length);
}

int device_write(const char* /*path*/, const char* bytes, std::size_t size, off_t offset,
                 fuse_file_info* /*file*/) {
    if (!is_in_sectors(offset, static_cast<off_t>(size))) {
        return -EINVAL;
    }
    const auto data = std::as_bytes(std::span(bytes, size));
    const int error = run({.type = RequestType::kWrite,
                           .sector = sector_of(offset),
                           .data = {data.begin(), data.end()}});
    return error != 0 ? error : static_cast<int>(size);
}

int device_fsync(const char* /*path*/, int /*datasync*/, fuse_file_info* /*file*/) {
    return run({.type = RequestType::kWrite, .flags = abi::kFlagPreflush});
}

int device_fallocate(const char* /*path*/, int mode, off_t offset, off_t length,
                     fuse_file_info* /*file*/) {
    if (!is_in_sectors(offset, length)) {
        return -EINVAL;
    }
    DmUserModel::Request request{.sector = sector_of(offset),
                                 .len = static_cast<std::uint64_t>(length)};
    if ((mode & FALLOC_FL_PUNCH_HOLE) != 0) {
        request.type = RequestType::kDiscard;
    } else if ((mode & FALLOC_FL_ZERO_RANGE) != 0) {
        request.type = RequestType::kWriteZeroes;
    } else {
        return -EOPNOTSUPP;
    }
    return run(std::move(request));
}

int fail(const char* what) {
    (void)std::fprintf(stderr, "dm_user_double: %s\n", what);
    return EXIT_FAILURE;
}

struct LoopConfigDelete {
    void operator()(fuse_loop_config* config) const { fuse_loop_cfg_destroy(config); }
};
using LoopConfig = std::unique_ptr<fuse_loop_config, LoopConfigDelete>;

LoopConfig loop_config() {
    LoopConfig config(fuse_loop_cfg_create());
    fuse_loop_cfg_set_max_threads(config.get(), kThreads);
    return config;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        return fail("usage: dm_user_double NAME BYTES MOUNTPOINT");
    }
    const std::string name = argv[1];
    Double self;
    self.path = "/" + name;
    self.size = std::strtoull(argv[2], nullptr, 10);

    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &ends, nullptr);  // for all threads

    fuse_operations device_operations{};
    device_operations.init = device_init;
    device_operations.getattr = device_getattr;
    device_operations.read = device_read;
    device_operations.write = device_write;
    device_operations.fsync = device_fsync;
    device_operations.fallocate = device_fallocate;
    char* no_options[] = {argv[0], nullptr};
    fuse_args arguments = FUSE_ARGS_INIT(1, no_options);
    fuse* const files = fuse_new(&arguments, &device_operations, sizeof device_operations, &self);
    if (files == nullptr || fuse_mount(files, argv[3]) != 0) {
        return fail("cannot mount the folder of the device");
    }

    cuse_lowlevel_ops node_operations{};
    node_operations.open = node_open;
    node_operations.read = node_read;
    node_operations.write = node_write;
    node_operations.release = node_release;
    const std::string device_name = "DEVNAME=dm-user/" + name;
    const char* information[] = {device_name.c_str()};
    cuse_info node_information{};
    node_information.dev_info_argc = 1;
    node_information.dev_info_argv = information;
    std::string foreground = "-f";
    char* node_arguments[] = {argv[0], foreground.data(), nullptr};
    int is_multithreaded = 0;
    fuse_session* const node = cuse_lowlevel_setup(2, node_arguments, &node_information,
                                                   &node_operations, &is_multithreaded, &self);
    if (node == nullptr) {
        fuse_unmount(files);
        return fail("cannot make the control node");
    }

    std::thread([files] { (void)fuse_loop_mt(files, loop_config().get()); }).detach();
    std::thread([node] { (void)fuse_session_loop_mt(node, loop_config().get()); }).detach();
    int signal = 0;
    (void)sigwait(&ends, &signal);
    self.model.remove();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (self.model.opens() > 0 && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    fuse_unmount(files);
    std::_Exit(EXIT_SUCCESS);  // the threads wait for requests; the node goes with the process
}
