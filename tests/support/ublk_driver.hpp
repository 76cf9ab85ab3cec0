// SPDX-License-Identifier: Apache-2.0
// UblkDriver: the kernel's side of one or two hardware queues, for a FakeEngineQueue: descriptors
// in memory that the server sees, and the server's I/O commands.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "lunkit/unique_fd.hpp"
#include "support/fake_engine_queue.hpp"
#include "ublk/abi.hpp"
#include "ublk/char_device.hpp"

namespace lunkit::test {

class UblkDriver {
  public:
    UblkDriver() : fd_(::memfd_create("ublkc", MFD_CLOEXEC)) {
        if (::ftruncate(fd_.get(), kBytes) != 0) {
            std::abort();
        }
    }
    /// The server's view.
    [[nodiscard]] ublk::CharDevice open() const {
        return *ublk::CharDevice::open("/proc/self/fd/" + std::to_string(fd_.get()));
    }
    static ublk::abi::IoCommand io(const FakeEngineQueue::Command& command) {
        ublk::abi::IoCommand io{};
        std::memcpy(&io, command.command.payload.data(), sizeof io);
        return io;
    }
    /// A request for a tag that waits for one, of a hardware queue that `queue` serves.
    void deliver(FakeEngineQueue& queue, std::uint16_t tag, ublk::abi::IoDescriptor request) {
        const auto index = io(queue.commands[find(queue, tag)]).q_id * ublk::abi::kMostTags + tag;
        if (::pwrite(fd_.get(), &request, sizeof request,
                     static_cast<off_t>(index * sizeof request)) != sizeof request) {
            std::abort();
        }
        queue.answer_command(find(queue, tag), ublk::abi::kIoResOk);
    }
    /// What the tag's last commit said.
    [[nodiscard]] static std::int32_t committed(const FakeEngineQueue& queue, std::uint16_t tag) {
        const auto& command = queue.commands[find(queue, tag)];
        return command.command.op == ublk::abi::kCommitAndFetchReq ? io(command).result : kNothing;
    }
    [[nodiscard]] static std::byte* buffer(const FakeEngineQueue& queue, std::uint16_t tag) {
        return reinterpret_cast<std::byte*>(
            static_cast<std::uintptr_t>(io(queue.commands[find(queue, tag)]).addr));
    }
    /// Takes back every tag that waits, as STOP_DEV does; those that run commit first.
    static void abort_all(FakeEngineQueue& queue) {
        while (!queue.commands.empty()) {
            queue.answer_command(0, -ENODEV);
        }
        queue.settle();
    }
    static constexpr std::int32_t kNothing = INT32_MIN;

  private:
    static constexpr off_t kBytes = 2 * ublk::abi::kMostTags * sizeof(ublk::abi::IoDescriptor);
    static std::size_t find(const FakeEngineQueue& queue, std::uint16_t tag) {
        for (std::size_t i = 0; i < queue.commands.size(); ++i) {
            if (io(queue.commands[i]).tag == tag) {
                return i;
            }
        }
        std::abort();  // the server has the tag
    }
    UniqueFd fd_;
};

}  // namespace lunkit::test
