// SPDX-License-Identifier: Apache-2.0
#include "support/tcmu_kernel_model.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "support/tcmu_kernel_layout.h"

namespace lunkit::test {

namespace {

constexpr std::size_t kCmdrOff = 128;
const auto& kernel = ::tcmu_kernel_layout;

// Version 1 (Linux 3.18): the request as it was then.
struct RequestVersion1 {
    std::uint32_t len_op;
    std::uint16_t cmd_id;
    std::uint16_t pad;
    std::uint64_t cdb_off;
    std::uint64_t iov_cnt;
};
static_assert(sizeof(RequestVersion1) == 24);

void must(bool condition) {
    if (!condition) {
        std::abort();  // the model itself could not be set up
    }
}

std::size_t scsi_command_size(const std::vector<std::uint8_t>& cdb) {
    constexpr std::array<std::size_t, 8> kSizes{6, 10, 10, 12, 16, 12, 10, 10};
    return cdb[0] == 0x7f ? 8U + cdb[7] : kSizes[cdb[0] >> 5];
}

std::size_t round_up(std::size_t value, std::size_t unit) {
    return (value + unit - 1) / unit * unit;
}

template <typename T>
void put(std::byte* at, T value) {
    std::memcpy(at, &value, sizeof value);
}
template <typename T>
T get(const std::byte* at) {
    T value{};
    std::memcpy(&value, at, sizeof value);
    return value;
}

}  // namespace

TcmuKernelModel::TcmuKernelModel(Options options) : options_(options) {
    data_begin_ = round_up(kCmdrOff + options_.cmdr_size, kBlock);
    size_ = data_begin_ + options_.blocks * kBlock;
    memory_.reset(::memfd_create("tcmu-model", MFD_CLOEXEC));
    must(memory_ && ::ftruncate(memory_.get(), static_cast<off_t>(size_)) == 0);
    void* map = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
    must(map != MAP_FAILED);
    map_ = static_cast<std::byte*>(map);
    std::memset(map_ + data_begin_, std::to_integer<int>(options_.stale), size_ - data_begin_);
    must(kernel.mailbox_size == kCmdrOff);
    put(map_ + kernel.version, options_.version);
    put(map_ + kernel.flags, options_.version == 1 ? std::uint16_t{0} : options_.flags);
    put(map_ + kernel.cmdr_off, static_cast<std::uint32_t>(kCmdrOff));
    put(map_ + kernel.cmdr_size, options_.cmdr_size);
    used_blocks_.resize(options_.blocks);
    std::array<int, 2> pair{};
    must(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) == 0);
    kernel_fd_.reset(pair[0]);
    user_fd_.reset(pair[1]);
}

TcmuKernelModel::~TcmuKernelModel() {
    (void)::munmap(map_, size_);
}

UniqueFd TcmuKernelModel::take_user_fd() {
    return std::move(user_fd_);
}

UniqueFd TcmuKernelModel::duplicate_user_fd() const {
    return UniqueFd(::fcntl(user_fd_.get(), F_DUPFD_CLOEXEC, 0));
}

std::uint32_t* TcmuKernelModel::mailbox_word(std::size_t offset) const {
    return reinterpret_cast<std::uint32_t*>(map_ + offset);
}
std::uint32_t TcmuKernelModel::head() const {
    return std::atomic_ref(*mailbox_word(kernel.cmd_head)).load();
}
std::uint32_t TcmuKernelModel::tail() const {
    return std::atomic_ref(*mailbox_word(kernel.cmd_tail)).load();
}

void TcmuKernelModel::move_ring_to(std::uint32_t position) {
    must(commands_.empty() && head() == tail());
    *mailbox_word(kernel.cmd_head) = position;
    *mailbox_word(kernel.cmd_tail) = position;
    last_cleaned_ = position;
}

std::byte* TcmuKernelModel::block(std::size_t index) const {
    return map_ + data_begin_ + index * kBlock;
}

std::optional<std::vector<std::size_t>> TcmuKernelModel::allocate(std::size_t length) {
    std::vector<std::size_t> blocks;
    for (std::size_t i = 0; i < used_blocks_.size() && blocks.size() * kBlock < length; ++i) {
        const bool adjoins = options_.scatter && !blocks.empty() && blocks.back() + 1 == i;
        if (!used_blocks_[i] && !adjoins) {
            blocks.push_back(i);
        }
    }
    if (blocks.size() * kBlock < length) {
        return std::nullopt;
    }
    for (const std::size_t index : blocks) {
        used_blocks_[index] = true;
    }
    return blocks;
}

void TcmuKernelModel::release(const std::vector<std::size_t>& blocks) {
    for (const std::size_t index : blocks) {
        used_blocks_[index] = false;
    }
}

std::vector<TcmuKernelModel::Iov> TcmuKernelModel::to_iovs(const std::vector<std::size_t>& blocks,
                                                           std::size_t length) const {
    std::vector<Iov> iovs;
    for (const std::size_t index : blocks) {
        const auto offset = static_cast<std::uint64_t>(block(index) - map_);
        const std::size_t piece = std::min(length, kBlock);
        length -= piece;
        if (!iovs.empty() && iovs.back().offset + iovs.back().length == offset) {
            iovs.back().length += piece;
        } else {
            iovs.push_back({offset, piece});
        }
    }
    return iovs;
}

// Room for an entry at head, behind a PAD if need be; null when there is none.
std::byte* TcmuKernelModel::reserve(std::size_t entry_size) {
    const std::size_t size = options_.cmdr_size;
    const std::size_t position = head();
    if (position >= size || position % kernel.op_align != 0) {
        return nullptr;  // a test has spoilt it
    }
    const std::size_t to_end = size - position;
    const std::size_t needed = entry_size + (to_end < entry_size ? to_end : 0);
    const std::size_t used =
        position >= last_cleaned_ ? position - last_cleaned_ : size - last_cleaned_ + position;
    if (entry_size > size / 2 || size - used - 1 < needed) {
        return nullptr;
    }
    if (to_end < entry_size) {
        put(map_ + kCmdrOff + position, static_cast<std::uint32_t>(to_end) | kernel.op_pad);
        ++pads_;
        smallest_pad_ = std::min(smallest_pad_, to_end);
        advance(to_end);
    }
    return map_ + kCmdrOff + head();
}

void TcmuKernelModel::advance(std::size_t entry_size) {
    const auto next = static_cast<std::uint32_t>((head() + entry_size) % options_.cmdr_size);
    std::atomic_ref(*mailbox_word(kernel.cmd_head)).store(next, std::memory_order_release);
}

std::optional<std::uint16_t> TcmuKernelModel::submit(std::vector<std::uint8_t> cdb,
                                                     Direction direction,
                                                     std::span<const std::byte> data,
                                                     std::size_t data_in) {
    const bool bidi = direction == Direction::kBidirectional;
    auto out = allocate(data.size());
    auto in = allocate(data_in);
    must(out && in);
    std::vector<Iov> iovs = to_iovs(*out, data.size());
    const std::size_t out_count = iovs.size();
    for (const Iov& iov : to_iovs(*in, data_in)) {
        iovs.push_back(iov);
    }
    const std::size_t iov_offset = options_.version == 1 ? sizeof(RequestVersion1) : kernel.iov;
    const std::size_t base = std::max(iov_offset + iovs.size() * sizeof(Iov), kernel.entry_size);
    const std::size_t entry_size = base + round_up(scsi_command_size(cdb), kernel.op_align);
    std::byte* entry = reserve(entry_size);
    if (entry == nullptr) {
        release(*out);
        release(*in);
        return std::nullopt;
    }
    std::size_t copied = 0;
    for (const std::size_t index : *out) {
        const std::size_t piece = std::min(data.size() - copied, kBlock);
        std::memcpy(block(index), data.data() + copied, piece);
        copied += piece;
    }
    const std::uint16_t id = next_id_++;
    const auto cdb_off = static_cast<std::uint64_t>(entry - map_) + base;
    const auto len_op = static_cast<std::uint32_t>(entry_size | kernel.op_cmd);
    if (options_.version == 1) {
        const RequestVersion1 request{len_op, id, 0, cdb_off, iovs.size()};
        std::memcpy(entry, &request, sizeof request);
    } else {
        std::memset(entry, 0, iov_offset);
        put(entry + kernel.len_op, len_op);
        put(entry + kernel.cmd_id, id);
        put(entry + kernel.iov_cnt, static_cast<std::uint32_t>(bidi ? out_count : iovs.size()));
        put(entry + kernel.iov_bidi_cnt,
            static_cast<std::uint32_t>(bidi ? iovs.size() - out_count : 0));
        put(entry + kernel.cdb_off, cdb_off);
    }
    if (!iovs.empty()) {
        std::memcpy(entry + iov_offset, iovs.data(), iovs.size() * sizeof(Iov));
    }
    cdb.resize(scsi_command_size(cdb));
    std::memcpy(entry + base, cdb.data(), cdb.size());
    commands_.emplace(id, Command{direction, *std::move(out), *std::move(in), data_in});
    advance(entry_size);
    return id;
}

bool TcmuKernelModel::submit_tmr(std::uint8_t type, std::vector<std::uint16_t> cmd_ids) {
    const std::size_t size = round_up(kernel.tmr_cmd_ids + cmd_ids.size() * 2, kernel.op_align);
    std::byte* entry = reserve(size);
    if (entry == nullptr) {
        return false;
    }
    std::memset(entry, 0, size);
    put(entry + kernel.len_op, static_cast<std::uint32_t>(size | kernel.op_tmr));
    put(entry + kernel.tmr_type, type);
    put(entry + kernel.tmr_cmd_cnt, static_cast<std::uint32_t>(cmd_ids.size()));
    if (!cmd_ids.empty()) {
        std::memcpy(entry + kernel.tmr_cmd_ids, cmd_ids.data(), cmd_ids.size() * 2);
    }
    advance(size);
    return true;
}

std::optional<std::uint16_t> TcmuKernelModel::submit_unknown(std::uint8_t op) {
    std::byte* entry = reserve(kernel.entry_size);
    if (entry == nullptr) {
        return std::nullopt;
    }
    const std::uint16_t id = next_id_++;
    std::memset(entry, 0, kernel.entry_size);
    put(entry + kernel.len_op, static_cast<std::uint32_t>(kernel.entry_size | op));
    put(entry + kernel.cmd_id, id);
    commands_.emplace(id, Command{Direction::kNone, {}, {}, 0});
    advance(kernel.entry_size);
    return id;
}

void TcmuKernelModel::notify() {
    const std::uint32_t count = 1;
    (void)::send(kernel_fd_.get(), &count, sizeof count, MSG_NOSIGNAL);  // full: it is awake
}

std::size_t TcmuKernelModel::take_kicks() {
    std::size_t kicks = 0;
    std::array<std::byte, 64> buffer{};
    while (true) {
        const ssize_t got = ::recv(kernel_fd_.get(), buffer.data(), buffer.size(), 0);
        if (got <= 0) {
            return kicks;
        }
        must(got == sizeof(std::uint32_t));  // uio takes nothing else
        ++kicks;
        handle_completions();
    }
}

bool TcmuKernelModel::wait_for_kick() {
    constexpr int kMilliseconds = 10'000;
    pollfd waited{kernel_fd_.get(), POLLIN, 0};
    return ::poll(&waited, 1, kMilliseconds) > 0 && take_kicks() > 0;
}

void TcmuKernelModel::handle_completions() {
    while (broken_.empty() && last_cleaned_ != tail()) {
        const std::byte* place = map_ + kCmdrOff + last_cleaned_;
        const auto len_op = get<std::uint32_t>(place + kernel.len_op);
        const std::uint32_t op = len_op & kernel.op_mask;
        if (op != kernel.op_pad && op != kernel.op_tmr) {
            const auto id = get<std::uint16_t>(place + kernel.cmd_id);
            if (!commands_.contains(id)) {
                broken_ = "cmd_id " + std::to_string(id) + " not found, ring is broken";
                return;
            }
            finish(id, place);
        }
        last_cleaned_ = (last_cleaned_ + (len_op & ~kernel.op_mask)) % options_.cmdr_size;
    }
}

void TcmuKernelModel::finish(std::uint16_t cmd_id, const std::byte* entry) {
    const Command command = commands_.extract(cmd_id).mapped();
    Result result;
    result.status = get<std::uint8_t>(entry + kernel.scsi_status);
    result.uflags =
        options_.version == 1 ? std::uint8_t{0} : get<std::uint8_t>(entry + kernel.uflags);
    std::size_t length = command.in_length;
    const auto read_len = get<std::uint32_t>(entry + kernel.read_len);
    const bool counts = command.direction == Direction::kFromDevice &&
                        (result.uflags & kernel.uflag_read_len) != 0 && read_len != 0;
    if (counts) {
        result.read_len = read_len;
        length = std::min<std::size_t>(length, read_len);
    }
    const bool check_condition = result.status == 2;
    if (check_condition) {
        const auto* sense = reinterpret_cast<const std::uint8_t*>(entry + kernel.sense_buffer);
        result.sense.assign(sense, sense + kernel.sense_size);
    }
    if ((!check_condition || counts) && (result.uflags & kernel.uflag_unknown_op) == 0) {
        for (const std::size_t index : command.in_blocks) {
            const std::size_t piece = std::min(length, kBlock);
            result.data_in.insert(result.data_in.end(), block(index), block(index) + piece);
            length -= piece;
        }
    }
    release(command.out_blocks);
    release(command.in_blocks);
    order_.push_back(cmd_id);
    results_.emplace(cmd_id, std::move(result));
}

void TcmuKernelModel::reset_ring() {
    for (const auto& [id, command] : commands_) {
        release(command.out_blocks);
        release(command.in_blocks);
    }
    commands_.clear();
    broken_.clear();
    last_cleaned_ = 0;
    *mailbox_word(kernel.cmd_tail) = 0;
    *mailbox_word(kernel.cmd_head) = 0;
}

void TcmuKernelModel::unregister() {
    kernel_fd_.reset();
}

}  // namespace lunkit::test
