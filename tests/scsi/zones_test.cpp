// SPDX-License-Identifier: Apache-2.0
// A unit that is a host managed zoned block device.
#include "logical_unit_fixture.hpp"
#include "scsi/opcodes.hpp"

namespace lunkit::scsi::test {
namespace {

constexpr std::uint64_t kZoneBlocks = 128;
constexpr std::uint64_t kZone = kZoneBlocks * kBlock;

class Zoned : public LogicalUnitTest {
  protected:
    Zoned() {
        device.properties.type = DeviceType::kZoned;
        device.properties.thin = false;
        device.properties.can_discard = false;
        device.properties.zone_size = kZone;
        device.properties.max_open_zones = 7;
        add(LUNKIT_ZONE_CONVENTIONAL, LUNKIT_ZONE_NOT_WRITE_POINTER, 0);
        for (const std::uint32_t condition :
             {LUNKIT_ZONE_EMPTY, LUNKIT_ZONE_IMPLICITLY_OPENED, LUNKIT_ZONE_EXPLICITLY_OPENED,
              LUNKIT_ZONE_CLOSED, LUNKIT_ZONE_FULL, LUNKIT_ZONE_EMPTY, LUNKIT_ZONE_EMPTY}) {
            add(LUNKIT_ZONE_SEQUENTIAL_WRITE_REQUIRED, condition,
                condition == LUNKIT_ZONE_EMPTY ? 0 : 5 * kBlock);
        }
        device.resize_to(device.zones.size() * kZone);
        restart();
    }
    void add(std::uint32_t type, std::uint32_t condition, std::uint64_t written) {
        const std::uint64_t start = device.zones.size() * kZone;
        device.zones.push_back({start, kZone, start + written, type, condition, {}});
    }
    Reply report(std::uint64_t lba, std::uint8_t which, std::uint32_t length = 1024) {
        Bytes cdb = cdb16(0x95, 0, lba, length);
        cdb[14] = which;
        return in(cdb, length);
    }
    Reply manage(std::uint8_t action, std::uint64_t lba, bool all = false,
                 std::uint16_t count = 0) {
        Bytes cdb(16);
        cdb[0] = 0x94;
        cdb[1] = action;
        put_be64(std::span(cdb).subspan(2), lba);
        put_be16(std::span(cdb).subspan(12), count);
        cdb[14] = all ? 1 : 0;
        return run(cdb);
    }
    static std::uint32_t listed(const Reply& reply) { return get_be32(std::span(reply.data)) / 64; }
};

TEST_F(Zoned, SaysWhatItIs) {
    const Reply inquiry = in({0x12, 0, 0, 0, 96, 0});
    EXPECT_EQ(inquiry.data.at(0), 0x14);
    EXPECT_EQ(inquiry.data.at(5), 0x10);  // no third-party copies
    EXPECT_EQ(get_be16(std::span(inquiry.data).subspan(64)), 0x0620);
    EXPECT_EQ(in({0x12, 1, 0, 0, 255, 0}).data,
              (Bytes{0x14, 0x00, 0, 9, 0x00, 0x80, 0x83, 0x86, 0x87, 0xb0, 0xb1, 0xb2, 0xb6}));
    EXPECT_TRUE(is_invalid_cdb_field(in({0x12, 1, 0x8f, 0, 255, 0}), 2));
    EXPECT_EQ(in({0x12, 1, 0xb1, 0, 255, 0}).data.at(8), 0);  // ZONED: the type says it
    const Reply capacity = in(Bytes{0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0});
    EXPECT_EQ(capacity.data.at(12), 0x10);  // RC_BASIS
    EXPECT_EQ(get_be64(std::span(capacity.data)), 8 * kZoneBlocks - 1);
}

TEST_F(Zoned, TellsItsLimits) {
    const Reply page = in({0x12, 1, 0xb6, 0, 255, 0});
    ASSERT_EQ(page.data.size(), 64U);
    EXPECT_EQ(page.data[3], 60);
    EXPECT_EQ(page.data[4], 0x01);  // URSWRZ
    EXPECT_EQ(get_be32(std::span(page.data).subspan(16)), 7U);
    device.properties.max_open_zones = 0;
    restart();
    const Reply unlimited = in({0x12, 1, 0xb6, 0, 255, 0});
    EXPECT_EQ(get_be32(std::span(unlimited.data).subspan(16)), 0xffffffffU);
    const Reply limits = in({0x12, 1, 0xb0, 0, 255, 0});
    EXPECT_EQ(limits.data.at(5), 0);                              // COMPARE AND WRITE
    EXPECT_EQ(get_be32(std::span(limits.data).subspan(20)), 0U);  // UNMAP
}

TEST_F(Zoned, HasTheCommandsOfItsTypeOnly) {
    for (const Opcode& opcode : all_opcodes()) {
        if (opcode.traits.types.has(DeviceType::kZoned)) {
            continue;
        }
        Bytes cdb(opcode.cdb_length);
        cdb[0] = opcode.operation_code;
        if (opcode.service_action) {
            cdb[1] = static_cast<std::uint8_t>(*opcode.service_action);
        }
        const Reply reply = run(cdb);
        EXPECT_TRUE(is_check(reply, 0x5, 0x2000) || is_check(reply, 0x5, 0x2400))
            << unsigned{opcode.operation_code};
    }
    EXPECT_TRUE(is_check(run({0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0}), 0x5, 0x2000));  // UNMAP
    EXPECT_TRUE(is_check(run(cdb16(0x89, 0, 0, 0)), 0x5, 0x2000));  // COMPARE AND WRITE
    EXPECT_TRUE(is_check(run(cdb16(0x8b, 0, 0, 0)), 0x5, 0x2000));  // ORWRITE
    EXPECT_TRUE(is_invalid_cdb_field(out(cdb16(0x93, 0x08, 0, 1), blocks(1, 0)), 1));  // unmapping
    EXPECT_TRUE(device.requests.empty());
    device.properties.type = DeviceType::kBlock;
    restart();
    EXPECT_TRUE(is_check(report(0, 0), 0x5, 0x2000));
    EXPECT_TRUE(is_check(manage(0x04, 0), 0x5, 0x2000));
}

TEST_F(Zoned, ReportsItsZones) {
    const Reply reply = report(0, 0);
    ASSERT_EQ(reply.data.size(), 64U * 9);
    const std::span<const std::uint8_t> data(reply.data);
    EXPECT_EQ(get_be32(data), 64U * 8);
    EXPECT_EQ(data[4], 3);  // SAME: lengths, but not types
    EXPECT_EQ(get_be64(data.subspan(8)), 8 * kZoneBlocks - 1);
    const std::array<unsigned, 8> conditions{0, 1, 2, 3, 4, 0xe, 1, 1};
    for (std::size_t i = 0; i < 8; ++i) {
        const auto zone = data.subspan(64 * (i + 1), 64);
        EXPECT_EQ(zone[0], i == 0 ? 1 : 2);
        EXPECT_EQ(zone[1], conditions[i] << 4U) << i;
        EXPECT_EQ(get_be64(zone.subspan(8)), kZoneBlocks);
        EXPECT_EQ(get_be64(zone.subspan(16)), i * kZoneBlocks);
        const bool has_pointer = i != 0 && i != 5;
        const std::uint64_t written = i == 1 || i > 5 ? 0 : 5;
        EXPECT_EQ(get_be64(zone.subspan(24)),
                  has_pointer ? i * kZoneBlocks + written : ~std::uint64_t{0})
            << i;
    }
}

TEST_F(Zoned, ReportsFromTheZoneOfAnAddressOn) {
    const Reply reply = report(3 * kZoneBlocks + 5, 0);
    EXPECT_EQ(listed(reply), 5U);
    EXPECT_EQ(reply.data[4], 1);  // SAME: all
    EXPECT_EQ(get_be64(std::span(reply.data).subspan(64 + 16)), 3 * kZoneBlocks);
    EXPECT_TRUE(is_check(report(8 * kZoneBlocks, 0), 0x5, 0x2100));
}

TEST_F(Zoned, ReportsByCondition) {
    const std::array<std::pair<std::uint8_t, std::uint32_t>, 12> wanted{{{0x01, 3},
                                                                         {0x02, 1},
                                                                         {0x03, 1},
                                                                         {0x04, 1},
                                                                         {0x05, 1},
                                                                         {0x06, 0},
                                                                         {0x07, 0},
                                                                         {0x10, 0},
                                                                         {0x11, 0},
                                                                         {0x3e, 8},
                                                                         {0x3f, 1},
                                                                         {0x00, 8}}};
    for (const auto& [which, count] : wanted) {
        EXPECT_EQ(listed(report(0, which)), count) << unsigned{which};
    }
    EXPECT_TRUE(is_invalid_cdb_field(report(0, 0x08), 14));
    EXPECT_TRUE(is_invalid_cdb_field(report(0, 0x20), 14));
}

TEST_F(Zoned, CountsWhatTheAllocationLengthCutsOffUnlessPartial) {
    const Reply cut = report(0, 0, 64 + 64 + 30);
    EXPECT_EQ(listed(cut), 8U);
    EXPECT_EQ(cut.data.size(), 158U);
    const Reply partial = report(0, 0x80, 64 + 64 + 30);
    EXPECT_EQ(listed(partial), 1U);
    EXPECT_EQ(partial.data.size(), 128U);
    EXPECT_TRUE(is_good(report(0, 0, 0)));
    EXPECT_EQ(report(0, 0x80, 10).data.size(), 10U);
}

TEST_F(Zoned, TellsTheLastZoneThatIsSmaller) {
    device.zones.back().length = kBlock;
    device.resize_to(7 * kZone + kBlock);
    restart();
    EXPECT_EQ(report(kZoneBlocks, 0).data.at(4), 2);
    EXPECT_EQ(report(0, 0).data.at(4), 0);  // another type as well
    EXPECT_TRUE(is_good(manage(0x04, 7 * kZoneBlocks)));
    EXPECT_EQ(device.requests.back(),
              (MemoryDevice::Request{Kind::kManageZones, 7 * kZone, kBlock, 0}));
}

TEST_F(Zoned, ManagesAZone) {
    EXPECT_TRUE(is_good(manage(0x01, kZoneBlocks)));
    EXPECT_TRUE(is_good(manage(0x02, 2 * kZoneBlocks)));
    EXPECT_TRUE(is_good(manage(0x03, 3 * kZoneBlocks, false, 1)));
    EXPECT_TRUE(is_good(manage(0x04, 4 * kZoneBlocks, false, 3)));
    EXPECT_EQ(device.managed, (std::vector{ZoneAction::kClose, ZoneAction::kFinish,
                                           ZoneAction::kOpen, ZoneAction::kReset}));
    using Request = MemoryDevice::Request;
    EXPECT_EQ(device.requests,
              (std::vector<Request>{{Kind::kManageZones, kZone, kZone, 0},
                                    {Kind::kManageZones, 2 * kZone, kZone, 0},
                                    {Kind::kManageZones, 3 * kZone, kZone, 0},
                                    {Kind::kManageZones, 4 * kZone, 3 * kZone, 0}}));
}

TEST_F(Zoned, ManagesAllZonesWhateverTheAddressSays) {
    EXPECT_TRUE(is_good(manage(0x04, ~std::uint64_t{0}, true, 9)));
    EXPECT_EQ(device.requests.back(),
              (MemoryDevice::Request{Kind::kManageZones, 0, 8 * kZone, LUNKIT_IO_ALL_ZONES}));
}

TEST_F(Zoned, ManagesNothingElseThanZones) {
    EXPECT_TRUE(is_check(manage(0x04, 8 * kZoneBlocks), 0x5, 0x2100));
    EXPECT_TRUE(is_check(manage(0x04, ~std::uint64_t{0}), 0x5, 0x2100));
    EXPECT_TRUE(is_invalid_cdb_field(manage(0x04, kZoneBlocks + 1), 2));
    EXPECT_TRUE(is_invalid_cdb_field(manage(0x04, 6 * kZoneBlocks, false, 3), 12));
    EXPECT_TRUE(is_invalid_cdb_field(manage(0x05, kZoneBlocks), 1));
    EXPECT_TRUE(device.requests.empty());
}

TEST_F(Zoned, TellsWhichRuleWasBroken) {
    const auto broken = [this](Kind kind, int code) {
        device.fail_next(kind, Error{code, {}, LUNKIT_NO_OFFSET, ErrorClass::kZone});
    };
    broken(Kind::kWrite, EINVAL);
    EXPECT_TRUE(is_check(out(cdb16(0x8a, 0, 0, 1), blocks(1, 1)), 0x5, 0x2104));
    broken(Kind::kWrite, EFBIG);
    EXPECT_TRUE(is_check(out(cdb16(0x8e, 0, 0, 1), blocks(1, 1)), 0x5, 0x2105));
    broken(Kind::kWriteZeroes, ETOOMANYREFS);
    EXPECT_TRUE(is_check(out(cdb16(0x93, 0, 0, 1), blocks(1, 0)), 0x7, 0x550e));
    broken(Kind::kWrite, EPERM);
    EXPECT_TRUE(is_check(out(cdb16(0x93, 0, 0, 1), blocks(1, 9)), 0x5, 0x2400));
    broken(Kind::kRead, EXDEV);
    EXPECT_TRUE(is_check(in(cdb16(0x88, 0, 0, 1), kBlock), 0x5, 0x2106));
    broken(Kind::kManageZones, ETOOMANYREFS);
    EXPECT_TRUE(is_check(manage(0x03, 0), 0x7, 0x550e));
    broken(Kind::kManageZones, EPERM);
    EXPECT_TRUE(is_invalid_cdb_field(manage(0x03, 0), 2));
    device.fail_next(Kind::kWrite, Error{EPERM});  // of the storage, no rule
    EXPECT_TRUE(is_check(out(cdb16(0x8a, 0, 0, 1), blocks(1, 1)), 0x7, 0x2700));
}

TEST_F(Zoned, IsNotManagedWhenWriteProtected) {
    device.properties.read_only = true;
    restart();
    EXPECT_TRUE(is_check(manage(0x04, 0), 0x7, 0x2700));
    EXPECT_TRUE(is_good(report(0, 0)));
}

// What a device leaves there tells its successor what has been made of the command.
TEST_F(Zoned, GivesTheDeviceTheProgressOfTheCommand) {
    Bytes cdb(16);
    cdb[0] = 0x94;
    cdb[1] = 0x04;
    Exchange reset(cdb, {});
    std::uint64_t progress = 0;
    reset.command.progress = &progress;
    run_task(queue, unit->execute(queue, reset.command));
    EXPECT_EQ(progress, 2U);
}

TEST_F(Zoned, WritesAPatternInOnePiece) {
    const Bytes limits = in({0x12, 1, 0xb0, 0, 255, 0}).data;
    const std::uint64_t most = get_be64(std::span(limits).subspan(36));
    ASSERT_EQ(most * kBlock, std::uint64_t{256} << 10U);
    EXPECT_TRUE(is_good(out(cdb16(0x93, 0, 0, static_cast<std::uint32_t>(most)), blocks(1, 0x11))));
    EXPECT_EQ(device.count(Kind::kWrite), 1U);
    EXPECT_TRUE(is_invalid_cdb_field(
        out(cdb16(0x93, 0, 0, static_cast<std::uint32_t>(most) + 1), blocks(1, 0x11)), 10));
}

}  // namespace
}  // namespace lunkit::scsi::test
