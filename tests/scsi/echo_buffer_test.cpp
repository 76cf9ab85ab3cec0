// SPDX-License-Identifier: Apache-2.0
#include "logical_unit_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class EchoBuffer : public LogicalUnitTest {
  protected:
    static Bytes cdb(std::uint8_t opcode, std::uint8_t mode, std::uint32_t length) {
        Bytes bytes{opcode, mode, 0, 0, 0, 0, 0, 0, 0, 0};
        put_be24(std::span(bytes).subspan(6), length);
        return bytes;
    }
    static Bytes numbers(std::size_t count) {
        Bytes bytes(count);
        for (std::size_t i = 0; i < count; ++i) {
            bytes[i] = static_cast<std::uint8_t>(i * 7);
        }
        return bytes;
    }
    Reply write(const Bytes& bytes) {
        return out(cdb(0x3b, 0x0a, static_cast<std::uint32_t>(bytes.size())), bytes);
    }
    Reply read(std::uint32_t length = 8192) { return in(cdb(0x3c, 0x0a, length), 8192); }
};

TEST_F(EchoBuffer, GivesBackWhatWasWritten) {
    for (const std::size_t count : {std::size_t{4096}, std::size_t{1}, std::size_t{252}}) {
        EXPECT_TRUE(is_good(write(numbers(count))));
        EXPECT_EQ(read().data, numbers(count)) << count;
        EXPECT_EQ(read().data, numbers(count)) << "twice";
    }
    EXPECT_EQ(read(10).data, numbers(10));
    EXPECT_TRUE(is_good(write({})));
    EXPECT_TRUE(is_good(read()));
    EXPECT_TRUE(read().data.empty());
}

TEST_F(EchoBuffer, TellsItsCapacity) {
    EXPECT_EQ(in(cdb(0x3c, 0x0b, 255)).data, (Bytes{0, 0, 0x10, 0}));
    EXPECT_TRUE(is_good(write(Bytes(0x1000))));
    EXPECT_TRUE(is_invalid_cdb_field(write(Bytes(0x1001)), 6));
    EXPECT_EQ(read().data.size(), 0x1000U) << "as before";
}

TEST_F(EchoBuffer, HasNothingBeforeTheFirstWrite) {
    EXPECT_TRUE(is_check(read(), 0x5, 0x2c00));
}

TEST_F(EchoBuffer, IsTheUnitsOwn) {
    EXPECT_TRUE(is_good(write(numbers(16))));
    restart();
    EXPECT_TRUE(is_check(read(), 0x5, 0x2c00));
}

TEST_F(EchoBuffer, RefusesDataThatWasNotSent) {
    EXPECT_TRUE(is_check(out(cdb(0x3b, 0x0a, 16), Bytes(15)), 0x5, 0x0e03));
    EXPECT_TRUE(is_check(read(), 0x5, 0x2c00));
}

TEST_F(EchoBuffer, IsTheOnlyMode) {
    for (std::uint8_t mode = 0; mode < 0x20; ++mode) {
        if (mode != 0x0a) {
            EXPECT_TRUE(is_invalid_cdb_field(out(cdb(0x3b, mode, 4), Bytes(4)), 1));
        }
        if (mode != 0x0a && mode != 0x0b) {
            EXPECT_TRUE(is_invalid_cdb_field(in(cdb(0x3c, mode, 4)), 1));
        }
    }
}

}  // namespace
}  // namespace lunkit::scsi::test
