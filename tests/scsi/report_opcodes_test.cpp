// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "logical_unit_fixture.hpp"
#include "scsi/cdb.hpp"

namespace lunkit::scsi::test {
namespace {

class ReportOpcodes : public LogicalUnitTest {
  protected:
    struct Descriptor {
        std::uint8_t opcode;
        std::uint16_t service_action;
        bool servactv;
        bool ctdp;
        std::uint16_t cdb_length;
    };

    Reply report(std::uint8_t reporting_options, std::uint8_t opcode = 0,
                 std::uint16_t action = 0) {
        return in({0xa3, 0x0c, reporting_options, opcode, static_cast<std::uint8_t>(action >> 8U),
                   static_cast<std::uint8_t>(action), 0, 0, 0xff, 0xff, 0, 0},
                  65535);
    }
    std::vector<Descriptor> all(bool timeouts = false) {
        const Reply reply = report(timeouts ? 0x80 : 0);
        EXPECT_TRUE(is_good(reply));
        EXPECT_EQ(get_be32(reply.data), reply.data.size() - 4);
        std::vector<Descriptor> found;
        for (std::size_t at = 4; at < reply.data.size();) {
            const auto bytes = std::span(reply.data).subspan(at);
            found.push_back({bytes[0], get_be16(bytes.subspan(2)), (bytes[5] & 1U) != 0,
                             (bytes[5] & 2U) != 0, get_be16(bytes.subspan(6))});
            if (found.back().ctdp) {
                EXPECT_EQ(get_be16(bytes.subspan(8)), 0x0a);
                EXPECT_GT(get_be32(bytes.subspan(16)), 0U);
                at += 12;
            }
            at += 8;
        }
        return found;
    }
    bool lists(std::uint8_t opcode) {
        const auto found = all();
        return std::ranges::any_of(
            found, [opcode](const Descriptor& entry) { return entry.opcode == opcode; });
    }
    /// A CDB of this command, all else zero.
    static Bytes cdb_of(unsigned opcode, std::uint16_t action) {
        if (opcode == 0x7f) {
            return cdb32(action, 0, 0, 0);
        }
        Bytes cdb(16);
        cdb[0] = static_cast<std::uint8_t>(opcode);
        cdb[1] = static_cast<std::uint8_t>(action);
        return cdb;
    }
    Reply one(const Descriptor& entry) {
        return report(entry.servactv ? 2 : 1, entry.opcode, entry.service_action);
    }
};

TEST_F(ReportOpcodes, ListsEachCommandWithItsLength) {
    const auto found = all();
    EXPECT_GT(found.size(), 50U);
    for (const Descriptor& entry : found) {
        EXPECT_EQ(entry.cdb_length, cdb_length(cdb_of(entry.opcode, 0))) << unsigned{entry.opcode};
        EXPECT_FALSE(entry.ctdp);
        EXPECT_TRUE(entry.servactv || entry.service_action == 0);
    }
}

TEST_F(ReportOpcodes, AddsTimeoutsWhenAsked) {
    const auto found = all(true);
    EXPECT_EQ(found.size(), all().size());
    EXPECT_TRUE(std::ranges::all_of(found, [](const Descriptor& entry) { return entry.ctdp; }));
}

TEST_F(ReportOpcodes, DescribesEachCommandItLists) {
    for (const Descriptor& entry : all()) {
        const Reply reply = one(entry);
        ASSERT_TRUE(is_good(reply)) << unsigned{entry.opcode};
        EXPECT_EQ(reply.data.at(1), 0x03);
        EXPECT_EQ(get_be16(std::span(reply.data).subspan(2)), entry.cdb_length);
        ASSERT_EQ(reply.data.size(), 4U + entry.cdb_length);
        EXPECT_EQ(reply.data.at(4), entry.opcode);
        if (entry.servactv) {
            EXPECT_EQ(service_action_of(std::span(reply.data).subspan(4)), entry.service_action);
        }
        const Reply with_timeouts =
            report(static_cast<std::uint8_t>(0x80U | (entry.servactv ? 2U : 1U)), entry.opcode,
                   entry.service_action);
        EXPECT_EQ(with_timeouts.data.size(), 4U + entry.cdb_length + 12);
        EXPECT_EQ(with_timeouts.data.at(1), 0x83);
    }
}

TEST_F(ReportOpcodes, TellsTruthfullyWhatTheUnitExecutes) {
    const auto found = all();
    for (unsigned opcode = 0; opcode < 256; ++opcode) {
        for (std::uint8_t action = 0; action < 32; ++action) {
            const Bytes cdb = cdb_of(opcode, action);
            const unsigned action_at = opcode == 0x7f ? 8 : 1;
            const auto entry = std::ranges::find_if(found, [&](const Descriptor& known) {
                return known.opcode == opcode &&
                       (!known.servactv || known.service_action == action);
            });
            const bool by_target =
                (opcode & 0xfeU) == 0x16 || (opcode & 0xfeU) == 0x56 || (opcode & 0xfeU) == 0x5e;
            restart();
            const Reply reply = in(cdb);
            const bool unknown =
                reply.status == StatusCode::kCheckCondition &&
                (reply.asc() == 0x2000 ||
                 (reply.asc() == 0x2400 && reply.sense[15] == (action_at == 1 ? 0xcc : 0xc0) &&
                  reply.field() == action_at && entry == found.end()));
            EXPECT_EQ(unknown, by_target || entry == found.end()) << opcode << ' ' << int{action};
        }
    }
}

TEST_F(ReportOpcodes, MarksTheBitsOfReadAndWrite) {
    EXPECT_EQ(report(1, 0x28).data,
              (Bytes{0, 3, 0, 10, 0x28, 0x18, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0}));
    for (const std::uint8_t opcode : Bytes{0x2a, 0xa8, 0xaa, 0x88, 0x8a, 0x89}) {
        EXPECT_EQ(report(1, opcode).data.at(5) & 0x18U, 0x18U) << unsigned{opcode};
    }
    for (const std::uint8_t opcode : Bytes{0x2f, 0xaf, 0x8f, 0x2e, 0xae, 0x8e}) {
        EXPECT_EQ(report(1, opcode).data.at(5) & 0x10U, 0x10U) << unsigned{opcode};
    }
}

TEST_F(ReportOpcodes, MarksEveryBitThatChangesWhatACommandDoes) {
    for (const Descriptor& entry : all()) {
        const Reply usage = one(entry);
        Bytes cdb = cdb_of(entry.opcode, entry.service_action);
        cdb.resize(entry.cdb_length);
        restart();
        const Reply plain = in(cdb);
        for (std::size_t at = 1; at < cdb.size(); ++at) {
            for (unsigned bit = 0; bit < 8; ++bit) {
                const bool in_service_action =
                    entry.servactv &&
                    (entry.opcode == 0x7f ? at == 8 || at == 9 : at == 1 && bit < 5);
                if (in_service_action || ((usage.data.at(4 + at) >> bit) & 1U) != 0) {
                    continue;
                }
                Bytes other = cdb;
                other[at] = static_cast<std::uint8_t>(other[at] | (1U << bit));
                restart();
                const Reply reply = in(other);
                const bool is_ignored = reply.status == plain.status &&
                                        reply.sense == plain.sense && reply.data == plain.data;
                EXPECT_TRUE(is_ignored || is_invalid_cdb_field(reply, static_cast<unsigned>(at)))
                    << unsigned{entry.opcode} << " byte " << at << " bit " << bit;
            }
        }
    }
}

TEST_F(ReportOpcodes, TellsTheWholeUsageOfA32ByteCdb) {
    Bytes expected{0, 3, 0, 32, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0, 0x0b, 0x18, 0};
    expected.resize(expected.size() + 8, 0xff);
    expected.resize(expected.size() + 8, 0);
    expected.resize(expected.size() + 4, 0xff);
    EXPECT_EQ(report(2, 0x7f, 0x000b).data, expected);
    EXPECT_EQ(report(3, 0x7f, 0x000b).data, expected);
    EXPECT_TRUE(is_invalid_cdb_field(report(1, 0x7f), 2));
}

TEST_F(ReportOpcodes, LooksAtServiceActionsBeyond255) {
    EXPECT_EQ(report(2, 0x7f, 0x0109).data, (Bytes{0, 1, 0, 0}));
    EXPECT_EQ(report(2, 0x9e, 0x0110).data, (Bytes{0, 1, 0, 0}));
}

TEST_F(ReportOpcodes, WantsAServiceActionExactlyWhereThereIsOne) {
    EXPECT_TRUE(is_invalid_cdb_field(report(1, 0x9e, 0x10), 2));
    EXPECT_TRUE(is_invalid_cdb_field(report(2, 0x28), 2));
}

TEST_F(ReportOpcodes, TakesEitherWithOptionThree) {
    EXPECT_EQ(report(3, 0x28).data.at(1), 3);
    EXPECT_EQ(report(3, 0x28, 1).data.at(1), 1);
    EXPECT_EQ(report(3, 0x9e, 0x10).data.at(1), 3);
    EXPECT_EQ(report(3, 0x9e, 0x1f).data.at(1), 1);
}

TEST_F(ReportOpcodes, SaysThatACommandIsNotSupported) {
    EXPECT_EQ(report(1, 0x8c).data, (Bytes{0, 1, 0, 0}));
    EXPECT_EQ(report(2, 0x9e, 0x1f).data, (Bytes{0, 1, 0, 0}));
    EXPECT_EQ(report(2, 0x83, 0x1f).data, (Bytes{0, 1, 0, 0}));
}

TEST_F(ReportOpcodes, RefusesReservedOptions) {
    for (std::uint8_t reserved = 4; reserved < 8; ++reserved) {
        EXPECT_TRUE(is_invalid_cdb_field(report(reserved), 2));
    }
}

TEST_F(ReportOpcodes, HasNoUnmapWithoutDiscard) {
    EXPECT_TRUE(lists(0x42));
    device.properties.can_discard = false;
    restart();
    EXPECT_FALSE(lists(0x42));
    EXPECT_EQ(report(1, 0x42).data, (Bytes{0, 1, 0, 0}));
}

TEST_F(ReportOpcodes, ListsReservationsWhenTheTargetAnswersThem) {
    for (const std::uint8_t opcode : Bytes{0x16, 0x17, 0x56, 0x57, 0x5e, 0x5f}) {
        EXPECT_TRUE(lists(opcode)) << unsigned{opcode};
    }
    options.target_answers_reservations = false;
    restart();
    for (const std::uint8_t opcode : Bytes{0x16, 0x17, 0x56, 0x57, 0x5e, 0x5f}) {
        EXPECT_FALSE(lists(opcode)) << unsigned{opcode};
    }
}

TEST_F(ReportOpcodes, IsCutToTheAllocationLength) {
    const Reply reply = in({0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0}, 100);
    EXPECT_TRUE(is_good(reply));
    EXPECT_EQ(reply.data.size(), 10U);
}

TEST_F(ReportOpcodes, TellsTheTaskManagementFunctionsOfTheTarget) {
    EXPECT_EQ(in({0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0}).data, (Bytes{0x88, 0, 0, 0}));
    Bytes extended(16);
    extended[0] = 0x88;
    extended[3] = 12;
    EXPECT_EQ(in({0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 16, 0, 0}).data, extended);
    EXPECT_TRUE(is_invalid_cdb_field(in({0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0}), 6));
}

}  // namespace
}  // namespace lunkit::scsi::test
