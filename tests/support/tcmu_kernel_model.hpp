// SPDX-License-Identifier: Apache-2.0
// TcmuKernelModel: the kernel's side of a TCMU device, in this process: a memfd with mailbox, ring
// and data area, and a socketpair in the place of the uio descriptor. It makes entries the way
// target_core_user.c does (contiguous blocks merge into one iovec, the lowest free blocks first, a
// PAD where the rest of the ring is too short, the ring never quite full) and checks what it checks
// of the answers; an answer for a command that it does not know makes the ring broken.
//
// It uses the kernel's header for the layout, so that model and code cannot err together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lunkit/unique_fd.hpp"

namespace lunkit::test {

class TcmuKernelModel {
  public:
    static constexpr std::size_t kBlock = 4096;

    struct Options {
        std::uint16_t version = 2;
        std::uint16_t flags = 1 | 2 | 4;  // OOOC, READ_LEN, TMR
        std::uint32_t cmdr_size = 4096 - 128;
        std::size_t blocks = 64;  // of the data area
        bool scatter = false;     // no two blocks of a command adjoin
        std::byte stale{0x5a};    // what unused blocks hold
    };
    enum class Direction : std::uint8_t { kNone, kFromDevice, kToDevice, kBidirectional };
    struct Result {
        std::uint8_t status = 0;
        std::uint8_t uflags = 0;
        std::vector<std::uint8_t> sense;
        std::optional<std::uint32_t> read_len;  // when it counts
        std::vector<std::byte> data_in;         // what the initiator gets
    };

    explicit TcmuKernelModel(Options options);
    TcmuKernelModel() : TcmuKernelModel(Options{}) {}
    TcmuKernelModel(const TcmuKernelModel&) = delete;
    TcmuKernelModel& operator=(const TcmuKernelModel&) = delete;
    TcmuKernelModel(TcmuKernelModel&&) = delete;
    TcmuKernelModel& operator=(TcmuKernelModel&&) = delete;
    ~TcmuKernelModel();

    /// For the side under test.
    [[nodiscard]] UniqueFd take_user_fd();
    /// The same, for another opener after the first (a successor).
    [[nodiscard]] UniqueFd duplicate_user_fd() const;
    [[nodiscard]] int memory_fd() const { return memory_.get(); }
    [[nodiscard]] std::size_t map_size() const { return size_; }
    /// The kernel's own view of the memory.
    [[nodiscard]] std::span<std::byte> memory() const { return {map_, size_}; }

    /// Queues a command and moves cmd_head. Its cmd_id; nothing when ring or data area are full.
    /// `data` is Data-Out; `data_in` the length of Data-In.
    std::optional<std::uint16_t> submit(std::vector<std::uint8_t> cdb, Direction direction,
                                        std::span<const std::byte> data = {},
                                        std::size_t data_in = 0);
    std::optional<std::uint16_t> read(std::vector<std::uint8_t> cdb, std::size_t length) {
        return submit(std::move(cdb), Direction::kFromDevice, {}, length);
    }
    std::optional<std::uint16_t> write(std::vector<std::uint8_t> cdb,
                                       std::span<const std::byte> data) {
        return submit(std::move(cdb), Direction::kToDevice, data);
    }
    bool submit_tmr(std::uint8_t type, std::vector<std::uint16_t> cmd_ids);
    /// An entry of an op that nobody knows; it has a cmd_id and wants an answer.
    std::optional<std::uint16_t> submit_unknown(std::uint8_t op);
    /// Wakes the other side (uio_event_notify).
    void notify();
    /// Takes the kicks that came, and for each the answers. How many kicks there were.
    std::size_t take_kicks();
    /// Waits for a kick, ten seconds at most, and takes what is there. False: none came.
    bool wait_for_kick();
    /// Takes the answers without a kick.
    void handle_completions();
    /// action/reset_ring: forgets every command.
    void reset_ring();
    /// The uio node goes away.
    void unregister();

    [[nodiscard]] const std::map<std::uint16_t, Result>& results() const { return results_; }
    [[nodiscard]] const Result& result(std::uint16_t cmd_id) const { return results_.at(cmd_id); }
    /// In the order in which they ended.
    [[nodiscard]] const std::vector<std::uint16_t>& order() const { return order_; }
    [[nodiscard]] std::size_t outstanding() const { return commands_.size(); }
    [[nodiscard]] const std::string& broken() const { return broken_; }
    [[nodiscard]] std::uint32_t head() const;
    [[nodiscard]] std::uint32_t tail() const;
    [[nodiscard]] std::size_t pads() const { return pads_; }
    [[nodiscard]] std::size_t smallest_pad() const { return smallest_pad_; }
    /// Puts both ends here; only while the ring is empty.
    void move_ring_to(std::uint32_t position);

  private:
    struct Command {
        Direction direction;
        std::vector<std::size_t> out_blocks;
        std::vector<std::size_t> in_blocks;
        std::size_t in_length;
    };
    struct Iov {
        std::uint64_t offset;
        std::uint64_t length;
    };

    [[nodiscard]] std::optional<std::vector<std::size_t>> allocate(std::size_t length);
    void release(const std::vector<std::size_t>& blocks);
    [[nodiscard]] std::vector<Iov> to_iovs(const std::vector<std::size_t>& blocks,
                                           std::size_t length) const;
    [[nodiscard]] std::byte* block(std::size_t index) const;
    [[nodiscard]] std::byte* reserve(std::size_t entry_size);
    void advance(std::size_t entry_size);
    void finish(std::uint16_t cmd_id, const std::byte* entry);
    [[nodiscard]] std::uint32_t* mailbox_word(std::size_t offset) const;

    Options options_;
    UniqueFd memory_;
    UniqueFd kernel_fd_;
    UniqueFd user_fd_;
    std::size_t data_begin_ = 0;
    std::size_t size_ = 0;
    std::byte* map_ = nullptr;
    std::uint32_t last_cleaned_ = 0;
    std::uint16_t next_id_ = 1;
    std::vector<bool> used_blocks_;
    std::map<std::uint16_t, Command> commands_;
    std::map<std::uint16_t, Result> results_;
    std::vector<std::uint16_t> order_;
    std::string broken_;
    std::size_t pads_ = 0;
    std::size_t smallest_pad_ = SIZE_MAX;
};

}  // namespace lunkit::test
