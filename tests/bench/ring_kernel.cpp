// SPDX-License-Identifier: Apache-2.0
#include "ring_kernel.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "tcmu/ring_layout.hpp"

namespace lunkit::bench {

namespace {

namespace mailbox = tcmu::mailbox;
constexpr const tcmu::EntryLayout& kEntry = tcmu::kEntryVersion2;

constexpr std::uint32_t kEntrySize = 128;
constexpr std::uint32_t kCmdrOff = mailbox::kSize;
constexpr std::uint32_t kCmdrSize = 2048 * kEntrySize;
constexpr std::size_t kDataOff = 1 << 20;
constexpr std::uint32_t kKicksKept = 128;  // what a socket holds of them, by far

template <typename T>
void put(std::byte* at, T value) {
    std::memcpy(at, &value, sizeof value);
}

}  // namespace

RingKernel::RingKernel(core::EngineQueue& queue, Load load) : queue_(queue), load_(load) {
    std::array<int, 2> ends{};
    const std::size_t size = kDataOff + std::size_t{kMostCommands} * load_.bytes;
    memory_fd_ = UniqueFd(::memfd_create("ring", MFD_CLOEXEC));
    auto map = ::ftruncate(memory_fd_.get(), static_cast<off_t>(size)) == 0
                   ? core::MemoryMapping::of_file(memory_fd_.get(), size, "ring")
                   : failure(errno);
    if (!map ||
        ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        std::abort();
    }
    map_ = std::move(*map);
    node_ = UniqueFd(ends[0]);
    kicks_ = UniqueFd(ends[1]);
    std::byte* base = map_.bytes().data();
    std::memset(base, 0x5a, size);  // every page is there
    std::memset(base, 0, kDataOff);
    put<std::uint16_t>(base + mailbox::kVersion, 2);
    put<std::uint16_t>(base + mailbox::kFlags, mailbox::kOutOfOrder | mailbox::kReadLen);
    put(base + mailbox::kCmdrOff, kCmdrOff);
    put(base + mailbox::kCmdrSize, kCmdrSize);
}

tcmu::UioNode RingKernel::take_node() {
    tcmu::UioNode node;
    node.fd = std::move(node_);
    node.map = *core::MemoryMapping::of_file(memory_fd_.get(), map_.bytes().size(), "ring");
    return node;
}

void RingKernel::put_command(std::uint32_t position, std::uint32_t slot) {
    std::byte* entry = map_.bytes().data() + kCmdrOff + position;
    const std::size_t cdb_off = kCmdrOff + position + kEntry.size;
    random_ ^= random_ << 13U;
    random_ ^= random_ >> 7U;
    random_ ^= random_ << 17U;
    const auto lba = static_cast<std::uint32_t>(random_ % (load_.device_size / load_.bytes) *
                                                (load_.bytes / 512));
    const std::uint32_t blocks = load_.bytes / 512;
    put(entry + kEntry.len_op, kEntrySize | tcmu::kOpCommand);
    put(entry + kEntry.cmd_id, ++cmd_id_);
    put<std::uint16_t>(entry + kEntry.cmd_id + 2, 0);  // kflags, uflags
    put<std::uint32_t>(entry + kEntry.iov_count, 1);
    put<std::uint32_t>(entry + kEntry.bidi_count, 0);
    put<std::uint64_t>(entry + kEntry.cdb_off, cdb_off);
    put<std::uint64_t>(entry + kEntry.iov, kDataOff + std::size_t{slot} * load_.bytes);
    put<std::uint64_t>(entry + kEntry.iov + 8, load_.bytes);
    const std::array<std::uint8_t, 10> cdb{static_cast<std::uint8_t>(load_.writes ? 0x2a : 0x28),
                                           0,
                                           static_cast<std::uint8_t>(lba >> 24U),
                                           static_cast<std::uint8_t>(lba >> 16U),
                                           static_cast<std::uint8_t>(lba >> 8U),
                                           static_cast<std::uint8_t>(lba),
                                           0,
                                           static_cast<std::uint8_t>(blocks >> 8U),
                                           static_cast<std::uint8_t>(blocks),
                                           0};
    std::memcpy(map_.bytes().data() + cdb_off, cdb.data(), cdb.size());
}

void RingKernel::take_answers() {
    std::byte* base = map_.bytes().data();
    const std::uint32_t tail = __atomic_load_n(
        reinterpret_cast<const std::uint32_t*>(base + mailbox::kCmdTail), __ATOMIC_ACQUIRE);
    while (taken_ != tail) {
        if (base[kCmdrOff + taken_ + kEntry.status] != std::byte{0}) {
            ++failed_;
        }
        ++answered_;
        taken_ = (taken_ + kEntrySize) % kCmdrSize;
    }
}

unsigned RingKernel::poll() {
    take_answers();
    if (taken_ != head_) {
        return 0;
    }
    if (left_ == 0) {
        if (std::exchange(running_, false)) {
            queue_.stop();
        }
        return 0;
    }
    commands_since_ += load_.depth;  // each may have brought a kick
    if (commands_since_ > kKicksKept - load_.depth) {
        commands_since_ = 0;
        std::array<std::byte, std::size_t{kKicksKept} * 4> kicks;
        while (::recv(kicks_.get(), kicks.data(), kicks.size(), MSG_DONTWAIT) > 0) {
        }
    }
    const auto batch = static_cast<std::uint32_t>(std::min<std::uint64_t>(load_.depth, left_));
    for (std::uint32_t i = 0; i < batch; ++i) {
        put_command(head_, i);
        head_ = (head_ + kEntrySize) % kCmdrSize;
    }
    left_ -= batch;
    running_ = true;
    __atomic_store_n(reinterpret_cast<std::uint32_t*>(map_.bytes().data() + mailbox::kCmdHead),
                     head_, __ATOMIC_RELEASE);
    return batch;
}

}  // namespace lunkit::bench
