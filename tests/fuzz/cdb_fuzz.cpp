// SPDX-License-Identifier: Apache-2.0
// Whatever CDBs and data come: every command gets a status, nothing is read or written outside the
// data area and the device, and only commands that write change the medium.
//
// The input is a session with one unit: a byte of options, then commands. A command is a byte of
// circumstances, two bytes of data length, the CDB as long as its opcode says, and the data (what
// is missing at the end of the input is zeros).
//
// Options: 01h blocks of 4096 bytes, 02h a device that can neither discard nor write atomically,
// 04h read only, 08h write cache off, 10h a small maximum transfer, 20h zones. Circumstances: 01h
// the device completes later, 02h its next request fails (which kind and how: the high nibble), 04h
// the CDB is cut short, 08h a replay.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

#include "scsi/logical_unit.hpp"
#include "scsi/opcodes.hpp"
#include "support/fake_queue.hpp"
#include "support/memory_device.hpp"
#include "support/run_task.hpp"

namespace lunkit::scsi::test {
namespace {

using lunkit::test::FakeQueue;
using lunkit::test::MemoryDevice;
using lunkit::test::run_task;

constexpr std::uint64_t kDeviceSize = std::uint64_t{64} << 10U;
constexpr std::uint64_t kZoneSize = std::uint64_t{8} << 10U;
constexpr std::size_t kMaxCommands = 8;
constexpr std::size_t kMaxData = 20000;
constexpr StatusCode kUnset{0xee};

void require(bool holds, const char* what) {
    if (!holds) {
        (void)fprintf(stderr, "invariant broken: %s\n", what);
        std::abort();
    }
}

class FuzzInitiators final : public Initiators {
  public:
    Task<Identity> identity(Queue& /*queue*/) override {
        Identity identity;
        identity.serial = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
        co_return identity;
    }
    void write_cache_changed(bool /*enabled*/) override {}
    bool run_in_background(Task<void> work) override {
        start(std::move(work));
        return true;
    }

  private:
    static Detached start(Task<void> work) { co_await work; }
};

/// The input, from front to back; zeros behind its end.
class Input {
  public:
    explicit Input(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}
    [[nodiscard]] bool empty() const { return bytes_.empty(); }
    std::uint8_t byte() { return take(1)[0]; }
    std::vector<std::uint8_t> take(std::size_t count) {
        std::vector<std::uint8_t> taken(count);
        const std::size_t there = std::min(count, bytes_.size());
        std::copy_n(bytes_.begin(), there, taken.begin());
        bytes_ = bytes_.subspan(there);
        return taken;
    }

  private:
    std::span<const std::uint8_t> bytes_;
};

class Session {
  public:
    explicit Session(std::uint8_t given)
        : device_(kDeviceSize),
          unit_(prepare(device_, given), initiators_, options_of(given)),
          read_only_((given & 0x04U) != 0) {}

    void run_command(Input& input) {
        const std::uint8_t circumstances = input.byte();
        const std::vector<std::uint8_t> size = input.take(2);
        std::vector<std::uint8_t> cdb = input.take(8);
        const std::size_t length = std::clamp<std::size_t>(cdb_length(cdb), 1, 32);
        if (length > cdb.size()) {
            const auto more = input.take(length - cdb.size());
            cdb.insert(cdb.end(), more.begin(), more.end());
        }
        cdb.resize((circumstances & 0x04U) != 0 ? length / 2 : length);
        std::vector<std::uint8_t> data = input.take((size[0] * 256U + size[1]) % (kMaxData + 1));
        device_.suspends = (circumstances & 0x01U) != 0;
        if ((circumstances & 0x02U) != 0) {
            fail_next(circumstances >> 4U);
        }
        execute(cdb, data, (circumstances & 0x08U) != 0);
    }

  private:
    static MemoryDevice& prepare(MemoryDevice& device, std::uint8_t given) {
        device.properties.can_discard = (given & 0x02U) == 0;
        device.properties.read_only = (given & 0x04U) != 0;
        device.properties.min_block_size = (given & 0x01U) != 0 ? 4096 : 512;
        device.properties.max_atomic_write = device.properties.can_discard ? 16384 : 0;
        if ((given & 0x20U) != 0) {
            device.properties.type = DeviceType::kZoned;
            device.properties.can_discard = false;
            device.properties.max_atomic_write = 0;
            device.properties.zone_size = kZoneSize;
            for (std::uint64_t at = 0; at < kDeviceSize; at += kZoneSize) {
                device.zones.push_back({at,
                                        kZoneSize,
                                        at,
                                        LUNKIT_ZONE_SEQUENTIAL_WRITE_REQUIRED,
                                        LUNKIT_ZONE_EMPTY,
                                        {}});
            }
        }
        return device;
    }
    static LogicalUnitOptions options_of(std::uint8_t given) {
        LogicalUnitOptions options;
        options.block_size = (given & 0x01U) != 0 ? 4096 : 512;
        options.write_cache = (given & 0x08U) == 0;
        options.max_transfer = (given & 0x10U) != 0 ? 16384 : 0;
        return options;
    }
    void fail_next(unsigned which) {
        constexpr std::array<int, 4> kErrors{EIO, ENOSPC, EOPNOTSUPP, ENOMEM};
        constexpr unsigned kKinds = 8;
        Error error{kErrors[which / 4]};
        error.offset = which % 3 == 0 ? LUNKIT_NO_OFFSET : which * 512;
        for (unsigned kind = 0; kind < kKinds; ++kind) {
            if (kind % 4 == which % 4) {
                device_.fail_next(MemoryDevice::Kind{static_cast<std::uint8_t>(kind)}, error);
            }
        }
        has_failed_ = true;
    }

    void execute(const std::vector<std::uint8_t>& cdb, std::vector<std::uint8_t>& data,
                 bool replay) {
        std::vector<iovec> pieces;
        for (std::size_t at = 0, piece = 5; at < data.size(); piece *= 9) {
            const std::size_t length = std::min(piece, data.size() - at);
            pieces.push_back({data.data() + at, length});
            at += length;
        }
        const Data area(pieces, data.size());
        const std::vector<std::uint8_t> before = data;
        Command command;
        command.cdb = cdb;
        command.data = &area;
        command.replay = replay;
        command.status = kUnset;
        device_.requests.clear();
        run_task(queue_, unit_.execute(queue_, command));
        queue_.run_all();  // what the command left running
#ifdef LUNKIT_FUZZ_PLANT
        // A unit that writes one byte too many, in one page of MODE SENSE(6).
        const bool is_planted =
            command.status == StatusCode::kGood && cdb[0] == 0x1a && (cdb[2] & 0x3fU) == 0x08;
        if (is_planted && command.data_in_length < data.size()) {
            data[command.data_in_length] ^= 0xffU;
        }
#endif
        check_ending(command, before, data);
        check_medium(cdb, command);
    }

    static void check_ending(const Command& command, const std::vector<std::uint8_t>& before,
                             const std::vector<std::uint8_t>& after) {
        require(command.status != kUnset, "a command has a status");
        require(command.data_in_length <= after.size(), "no more data than the area holds");
        const bool is_check = command.status == StatusCode::kCheckCondition;
        require(is_check == (command.sense_length != 0), "sense data with CHECK CONDITION only");
        require(command.sense_length <= kMaxSenseLength, "sense data has its place");
        if (command.status != StatusCode::kGood) {
            require(command.data_in_length == 0, "no data without GOOD");
            return;
        }
        const auto produced = static_cast<std::ptrdiff_t>(command.data_in_length);
        require(std::equal(before.begin() + produced, before.end(), after.begin() + produced),
                "nothing is written behind what was produced");
    }

    void check_medium(const std::vector<std::uint8_t>& cdb, const Command& command) {
        require(device_.violations == 0, "the device is asked for what it has");
        const bool changes = std::ranges::any_of(device_.requests, [](const auto& request) {
            return request.kind == MemoryDevice::Kind::kWrite ||
                   request.kind == MemoryDevice::Kind::kDiscard ||
                   request.kind == MemoryDevice::Kind::kWriteZeroes ||
                   request.kind == MemoryDevice::Kind::kCompareAndWrite ||
                   request.kind == MemoryDevice::Kind::kOrWrite;
        });
        if (changes) {
            require(!read_only_, "nothing is written to a read-only device");
            require(
                std::ranges::any_of(opcodes_of(cdb[0]),
                                    [&cdb](const Opcode& opcode) {
                                        return opcode.traits.writes &&
                                               (!opcode.service_action ||
                                                opcode.service_action == service_action_of(cdb));
                                    }),
                "only commands that write change the medium");
        }
        if (command.status == StatusCode::kGood && !unit_.write_cache() && !has_failed_) {
            require(device_.is_durable(), "without write cache what is GOOD is durable");
        }
    }

    MemoryDevice device_;
    FuzzInitiators initiators_;
    FakeQueue queue_;
    LogicalUnit unit_;
    bool read_only_;
    bool has_failed_ = false;
};

}  // namespace
}  // namespace lunkit::scsi::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using lunkit::scsi::test::Input;
    Input input(std::span(bytes, size));
    lunkit::scsi::test::Session session(input.byte());
    for (std::size_t i = 0; i < lunkit::scsi::test::kMaxCommands && !input.empty(); ++i) {
        session.run_command(input);
    }
    return 0;
}
