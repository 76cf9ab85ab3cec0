// SPDX-License-Identifier: Apache-2.0
// A daemon dies at any instruction. A child process serves a ring; it is stepped through by ptrace,
// one instruction at a time, and each time the memory that outlives it has changed (ring, in-flight
// table, disk) a successor is tried on it: every command must get exactly one answer, GOOD, and the
// disk must hold what the commands say. The memory is then put back and the child goes on.
//
// What the child has in its own memory is lost, as by SIGKILL; so this is death at every store,
// in the order in which the compiler has put them.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>

#include "support/fake_engine_queue.hpp"
#include "support/fake_kernel_tree.hpp"
#include "support/tcmu_ring_fixture.hpp"
#include "tcmu/device.hpp"

namespace lunkit::tcmu {
namespace {

using test::cdb_read10;
using test::cdb_write10;
using test::FakeEngineQueue;
using test::TcmuKernelModel;

constexpr std::size_t kBlock = 512;
constexpr std::size_t kDiskBlocks = 32;
const TableOwner kOwner{.name = "user_0/disk", .device_id = 1, .node = 1};

/// Its blocks outlive the process. Each request waits for the queue twice, so that commands run
/// beside each other; the queue decides who goes on.
class SharedDisk final : public BlockDevice {
  public:
    explicit SharedDisk(std::span<std::byte> bytes) : bytes_(bytes) {}
    [[nodiscard]] DeviceInfo info() const override { return {.size = bytes_.size()}; }
    Task<Status> read(Queue& queue, const IoRequest& io) override {
        (void)co_await queue.yield();
        copy_to_iov(*io.data, io.data_offset, bytes_.subspan(io.offset, io.length));
        (void)co_await queue.yield();
        co_return Status{};
    }
    Task<Status> write(Queue& queue, const IoRequest& io) override {
        (void)co_await queue.yield();
        copy_from_iov(*io.data, io.data_offset, bytes_.subspan(io.offset, io.length));
        (void)co_await queue.yield();
        co_return Status{};
    }
    Task<Status> flush(Queue& /*queue*/) override { co_return Status{}; }
    Task<Status> compare_and_write(Queue& queue, const IoRequest& io) override {
        (void)co_await queue.yield();
        std::array<std::byte, kBlock> expected;
        copy_from_iov(*io.data, io.data_offset, expected);
        const auto there = bytes_.subspan(io.offset, kBlock);
        if (*io.progress == 0 && std::memcmp(expected.data(), there.data(), kBlock) != 0) {
            co_return std::unexpected(Error{EILSEQ, {}, 0});
        }
        *static_cast<volatile std::uint64_t*>(io.progress) = 1;
        copy_from_iov(*io.data, io.data_offset + kBlock, there);
        (void)co_await queue.yield();
        co_return Status{};
    }

  private:
    std::span<std::byte> bytes_;
};

class SharedMemory {
  public:
    explicit SharedMemory(std::size_t size) : fd_(::memfd_create("disk", MFD_CLOEXEC)) {
        EXPECT_EQ(::ftruncate(fd_.get(), static_cast<off_t>(size)), 0);
        mapping_ = *core::MemoryMapping::of_file(fd_.get(), size, "memory");
    }
    [[nodiscard]] std::span<std::byte> bytes() const { return mapping_.bytes(); }

  private:
    UniqueFd fd_;
    core::MemoryMapping mapping_;
};

std::vector<std::byte> blocks_of(std::size_t count, std::uint8_t value) {
    return std::vector<std::byte>(count * kBlock, std::byte{value});
}

class DeathAtEveryInstruction : public testing::Test {
  protected:
    explicit DeathAtEveryInstruction(std::size_t disk_blocks = kDiskBlocks)
        : disk_(disk_blocks * kBlock) {
        ServedRing ring = opened();
        table_ = *tables_.make(0, kOwner, ring.table_bytes());
    }

    // The ring as a process of its own opens it.
    ServedRing opened() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()),
                  0);
        kernel_ends_.emplace_back(ends[0]);
        UioNode node;
        node.fd.reset(ends[1]);
        node.map = *core::MemoryMapping::of_file(model.memory_fd(), model.map_size(), "model");
        return *ServedRing::open(std::move(node), 16);
    }
    std::unique_ptr<Device> device_on(ServedRing ring, FakeEngineQueue& queue) {
        DeviceParts parts;
        parts.name = kOwner.name;
        parts.ring = std::move(ring);
        parts.block = std::make_unique<SharedDisk>(disk_.bytes());
        parts.unit.max_transfer = 1 << 20;
        return std::make_unique<Device>(std::move(parts), queue);
    }

    void submit(std::vector<std::uint8_t> cdb, const std::vector<std::byte>& data) {
        ASSERT_TRUE(model.write(std::move(cdb), data));
        ++commands_;
    }
    void submit_read(std::uint32_t lba, std::uint16_t blocks) {
        ASSERT_TRUE(model.read(cdb_read10(lba, blocks), blocks * kBlock));
        ++commands_;
    }
    void submit_compare_and_write(std::uint8_t lba, std::uint8_t from, std::uint8_t to) {
        std::vector<std::byte> data = blocks_of(1, from);
        const std::vector<std::byte> fresh = blocks_of(1, to);
        data.insert(data.end(), fresh.begin(), fresh.end());
        submit({0x89, 0, 0, 0, 0, 0, 0, 0, 0, lba, 0, 0, 0, 1, 0, 0}, data);
    }
    void expect_on_disk(std::size_t lba, std::size_t blocks, std::uint8_t value) {
        expected_.push_back({lba, blocks, value});
    }

    /// In a child. Ends it.
    [[noreturn]] void serve(bool resumes) {
        FakeEngineQueue queue;
        queue.inner.shuffle(4711);
        ServedRing ring = opened();
        TableMemory memory = *tables_.find(0, kOwner, ring.table_bytes());
        const Status begun =
            resumes ? ring.resume(std::move(memory)) : ring.attach(std::move(memory));
        const std::unique_ptr<Device> device = device_on(std::move(ring), queue);
        (void)::raise(SIGSTOP);  // from here on it is stepped
        device->start();
        queue.settle();
        ::_exit(begun ? 0 : 1);
    }

    /// In a child: a successor on the memory as it is. What is wrong, for stderr; 0: nothing.
    int succeed() {
        FakeEngineQueue queue;
        ServedRing ring = opened();
        Result<TableMemory> memory = tables_.find(0, kOwner, ring.table_bytes());
        const Status resumed = memory ? ring.resume(*std::move(memory)) : failure(ENOENT, "lost");
        if (!resumed) {
            std::cerr << "not taken over: " << resumed.error().what << '\n';
            return 2;
        }
        const std::unique_ptr<Device> device = device_on(std::move(ring), queue);
        device->start();
        queue.settle();
        model.handle_completions();
        if (!model.broken().empty() || model.outstanding() != 0 ||
            model.results().size() != commands_) {
            std::cerr << "ring: '" << model.broken() << "', outstanding " << model.outstanding()
                      << ", answered " << model.results().size() << '\n';
            return 3;
        }
        for (const auto& [id, result] : model.results()) {
            if (result.status != 0) {
                std::cerr << "command " << id << " ended with status " << int{result.status}
                          << '\n';
                return 4;
            }
        }
        for (const Expected& range : expected_) {
            const auto there = disk_.bytes().subspan(range.lba * kBlock, range.blocks * kBlock);
            if (!std::ranges::all_of(there,
                                     [&](std::byte b) { return b == std::byte{range.value}; })) {
                std::cerr << "block " << range.lba << " does not hold " << int{range.value} << '\n';
                return 5;
            }
        }
        return 0;
    }

    /// A predecessor of which nothing but the table is left.
    void fetch_all_and_die() {
        ServedRing ring = opened();
        ASSERT_TRUE(ring.attach(*tables_.find(0, kOwner, ring.table_bytes())));
        for (std::size_t i = 0; i < commands_; ++i) {
            ASSERT_EQ(ring.ring().fetch()->kind, Fetched::Kind::kCommand);
        }
    }

    struct Deaths {
        std::size_t instructions = 0;
        std::size_t stores = 0;
        std::size_t failed = 0;
    };
    /// Steps a child to its end and tries a successor whenever it has changed what outlives it.
    Deaths die_everywhere(bool resumes) {
        const pid_t child = ::fork();
        if (child == 0) {
            (void)::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
            serve(resumes);
        }
        Deaths deaths;
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFSTOPPED(status)) << "this test needs ptrace";
        std::vector<std::byte> before = survivors();
        while (WIFSTOPPED(status) && deaths.failed == 0) {
            if (::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0 ||
                ::waitpid(child, &status, 0) != child) {
                break;
            }
            ++deaths.instructions;
            if (holds(before)) {
                continue;
            }
            ++deaths.stores;
            before = survivors();
            deaths.failed += try_successor() ? 0 : 1;
            put_back(before);
        }
        if (deaths.failed > 0) {
            (void)::kill(child, SIGKILL);
            (void)::waitpid(child, &status, 0);
        } else {
            EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
        }
        std::cout << deaths.instructions << " instructions, " << deaths.stores
                  << " changes of what outlives the process, a successor on each\n";
        return deaths;
    }

    TcmuKernelModel model{{.cmdr_size = 4096 - 128, .blocks = 24}};

  private:
    struct Expected {
        std::size_t lba;
        std::size_t blocks;
        std::uint8_t value;
    };

    bool try_successor() {
        const pid_t successor = ::fork();
        if (successor == 0) {
            ::_exit(succeed());
        }
        int status = 0;
        return ::waitpid(successor, &status, 0) == successor && status == 0;
    }
    [[nodiscard]] std::array<std::span<std::byte>, 3> regions() const {
        return {model.memory(), table_.mapping(), disk_.bytes()};
    }
    [[nodiscard]] std::vector<std::byte> survivors() const {
        std::vector<std::byte> all;
        for (const std::span<std::byte> region : regions()) {
            all.insert(all.end(), region.begin(), region.end());
        }
        return all;
    }
    [[nodiscard]] bool holds(const std::vector<std::byte>& all) const {
        std::size_t at = 0;
        for (const std::span<std::byte> region : regions()) {
            if (std::memcmp(all.data() + at, region.data(), region.size()) != 0) {
                return false;
            }
            at += region.size();
        }
        return true;
    }
    void put_back(const std::vector<std::byte>& all) const {
        std::size_t at = 0;
        for (const std::span<std::byte> region : regions()) {
            std::memcpy(region.data(), all.data() + at, region.size());
            at += region.size();
        }
    }

    test::FakeKernelTree tree_;
    InflightFolder tables_ =
        *InflightFolder::open(tree_.run_dir(), [](auto) { return kOwner.node; });
    TableMemory table_;
    SharedMemory disk_;
    std::vector<UniqueFd> kernel_ends_;
    std::vector<Expected> expected_;
    std::size_t commands_ = 0;
};

TEST_F(DeathAtEveryInstruction, OfOneWrite) {
    submit(cdb_write10(4, 2), blocks_of(2, 0x11));
    expect_on_disk(4, 2, 0x11);
    expect_on_disk(6, 2, 0);
    const Deaths deaths = die_everywhere(false);
    EXPECT_EQ(deaths.failed, 0U);
    EXPECT_GT(deaths.stores, 20U);
}

TEST_F(DeathAtEveryInstruction, OfOneRead) {
    submit_read(4, 2);
    const Deaths deaths = die_everywhere(false);
    EXPECT_EQ(deaths.failed, 0U);
    EXPECT_GT(deaths.stores, 20U);
}

TEST_F(DeathAtEveryInstruction, OfOneCompareAndWrite) {
    submit_compare_and_write(4, 0x00, 0x22);
    expect_on_disk(4, 1, 0x22);
    const Deaths deaths = die_everywhere(false);
    EXPECT_EQ(deaths.failed, 0U);
    EXPECT_GT(deaths.stores, 20U);
}

class DeathAtEveryInstructionOfSmallDisk : public DeathAtEveryInstruction {
  protected:
    static constexpr std::size_t kBlocks = 3;
    DeathAtEveryInstructionOfSmallDisk() : DeathAtEveryInstruction(kBlocks) {}
};

// Its status comes first, the work after it.
TEST_F(DeathAtEveryInstructionOfSmallDisk, OfOneSanitizeWithImmed) {
    constexpr std::uint8_t kPasses = 2;
    submit({0x48, 0x81, 0, 0, 0, 0, 0, 0, 5, 0},
           {std::byte{kPasses}, std::byte{0}, std::byte{0}, std::byte{1}, std::byte{0x77}});
    expect_on_disk(0, kBlocks, 0x77);
    const Deaths deaths = die_everywhere(false);
    EXPECT_EQ(deaths.failed, 0U);
    EXPECT_GT(deaths.stores, 30U);
}

// Beside each other and ended in any order, some over the same blocks.
TEST_F(DeathAtEveryInstruction, OfManyCommands) {
    submit(cdb_write10(0, 4), blocks_of(4, 0x11));
    submit_read(20, 3);
    submit(cdb_write10(2, 4), blocks_of(4, 0x22));
    submit_compare_and_write(5, 0x22, 0x33);
    submit(cdb_write10(10, 1), blocks_of(1, 0x44));
    submit(cdb_write10(0, 1), blocks_of(1, 0x55));
    submit_compare_and_write(10, 0x44, 0x66);
    expect_on_disk(0, 1, 0x55);
    expect_on_disk(1, 1, 0x11);
    expect_on_disk(2, 3, 0x22);
    expect_on_disk(5, 1, 0x33);
    expect_on_disk(10, 1, 0x66);
    const Deaths deaths = die_everywhere(false);
    EXPECT_EQ(deaths.failed, 0U);
    EXPECT_GT(deaths.stores, 200U);
}

// The successor dies as well, while it executes again what it has found.
TEST_F(DeathAtEveryInstruction, OfASuccessor) {
    submit(cdb_write10(0, 4), blocks_of(4, 0x11));
    submit(cdb_write10(2, 4), blocks_of(4, 0x22));
    submit_compare_and_write(5, 0x22, 0x33);
    expect_on_disk(0, 2, 0x11);
    expect_on_disk(2, 3, 0x22);
    expect_on_disk(5, 1, 0x33);
    fetch_all_and_die();
    const Deaths deaths = die_everywhere(true);
    EXPECT_EQ(deaths.failed, 0U);
    EXPECT_GT(deaths.stores, 100U);
}

}  // namespace
}  // namespace lunkit::tcmu
