// SPDX-License-Identifier: Apache-2.0
#include <map>

#include "copy_fixture.hpp"

namespace lunkit::scsi::test {
namespace {

class ThirdPartyCopyPage : public CopyTest {
  protected:
    /// Descriptors by type, behind their headers; checks the order and the lengths.
    std::map<unsigned, Bytes> descriptors() {
        const Reply reply = in({0x12, 0x01, 0x8f, 0x04, 0x00, 0});
        EXPECT_TRUE(is_good(reply));
        EXPECT_EQ(get_be16(std::span(reply.data).subspan(2)), reply.data.size() - 4);
        std::map<unsigned, Bytes> found;
        for (std::size_t at = 4; at < reply.data.size();) {
            const auto bytes = std::span(reply.data).subspan(at);
            const unsigned type = get_be16(bytes);
            const std::size_t length = get_be16(bytes.subspan(2));
            EXPECT_EQ(length % 4, 0U);
            EXPECT_TRUE(found.empty() || found.rbegin()->first < type);
            const auto content = bytes.subspan(4, length);
            found[type] = Bytes(content.begin(), content.end());
            at += 4 + length;
        }
        return found;
    }
};

TEST_F(ThirdPartyCopyPage, ListsTheCommandsThatAreReported) {
    const Bytes commands = descriptors().at(0x0001);
    std::size_t at = 1;
    for (const std::uint8_t code : Bytes{0x83, 0x84}) {
        ASSERT_EQ(commands.at(at), code);
        const std::size_t count = commands.at(at + 1);
        EXPECT_GT(count, 0U);
        for (std::size_t i = 0; i < count; ++i) {
            const Reply reply =
                in({0xa3, 0x0c, 2, code, 0, commands.at(at + 2 + i), 0, 0, 1, 0, 0, 0});
            EXPECT_EQ(reply.data.at(1), 3);
        }
        at += 2 + count;
    }
    EXPECT_EQ(at, 1U + commands.at(0));
}

TEST_F(ThirdPartyCopyPage, TellsWhatOperatingParametersTell) {
    const auto found = descriptors();
    const Bytes parameters = receive(0x03, 0).data;
    const Bytes& data = found.at(0x0004);
    ASSERT_EQ(data.size(), 28U);
    EXPECT_EQ((Bytes{data.begin() + 4, data.begin() + 12}),
              (Bytes{parameters.begin() + 8, parameters.begin() + 16}));
    const Bytes& general = found.at(0x8001);
    ASSERT_EQ(general.size(), 32U);
    EXPECT_EQ(get_be32(general), get_be16(std::span(parameters).subspan(34)));
    EXPECT_EQ((Bytes{general.begin() + 8, general.begin() + 12}),
              (Bytes{parameters.begin() + 16, parameters.begin() + 20}));
    EXPECT_EQ(found.at(0x0008), (Bytes{2, 0x02, 0xe4, 0}));
    EXPECT_EQ(found.at(0x000c), Bytes(4, 0));
}

}  // namespace
}  // namespace lunkit::scsi::test
