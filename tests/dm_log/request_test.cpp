// SPDX-License-Identifier: Apache-2.0
#include "dm_log/request.hpp"

#include <gtest/gtest.h>
#include <linux/netlink.h>

#include <cerrno>
#include <functional>

#include "requests.hpp"

namespace lunkit::dm_log {
namespace {

using abi::RequestType;

/// The datagram of a request, by the layout of the kernel's headers.
struct Datagram {
    nlmsghdr netlink{};
    abi::ConnectorHeader connector{};
    abi::UlogRequest head{};
    std::vector<std::byte> data;

    explicit Datagram(const Request& request) : head(request.head) {
        data.assign(request.data().begin(), request.data().end());
        connector.idx = 7;
        connector.val = 1;
        connector.len = static_cast<std::uint16_t>(160 + data.size());
        netlink.nlmsg_len = static_cast<std::uint32_t>(36 + 160 + data.size());
    }
    [[nodiscard]] std::vector<std::byte> bytes() const {
        std::vector<std::byte> all;
        const auto put = [&all](const auto& part) {
            const auto raw = std::as_bytes(std::span(&part, 1));
            all.insert(all.end(), raw.begin(), raw.end());
        };
        put(netlink);
        put(connector);
        put(head);
        all.insert(all.end(), data.begin(), data.end());
        return all;
    }
    [[nodiscard]] int error() const {
        Request sender;
        const auto parsed = parse_request(bytes(), &sender);
        return parsed ? 0 : parsed.error().code;
    }
};

Request mark() {
    Request request = test::with_numbers(test::request(RequestType::kMarkRegion), {3, 9});
    request.head.seq = 77;
    return request;
}

TEST(DmLogRequest, IsWhatTheKernelSent) {
    std::vector<std::byte> bytes = Datagram(mark()).bytes();
    bytes.push_back(std::byte{0});  // padding of the datagram
    Request sender;
    const auto parsed = parse_request(bytes, &sender);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->type(), RequestType::kMarkRegion);
    EXPECT_EQ(parsed->uuid(), "mirror-a");
    EXPECT_EQ(parsed->head.seq, 77U);
    ASSERT_TRUE(parsed->has_numbers(2));
    EXPECT_EQ(parsed->number(1), 9U);
}

TEST(DmLogRequest, UpperBitsOfTheTypeAreReserved) {
    Request request = mark();
    request.head.request_type |= 0x1200;
    EXPECT_EQ(request.type(), RequestType::kMarkRegion);
    request.head.request_type = 0;
    EXPECT_FALSE(request.type());
    request.head.request_type = 18;
    EXPECT_FALSE(request.type());
}

TEST(DmLogRequest, MessagesOfOthersAreNone) {
    Datagram other{mark()};
    other.connector.idx = 1;  // process events
    EXPECT_EQ(other.error(), ENOMSG);
    Datagram value{mark()};
    value.connector.val = 2;
    EXPECT_EQ(value.error(), ENOMSG);
}

TEST(DmLogRequest, EveryTruncationIsRefused) {
    const std::vector<std::byte> whole = Datagram(mark()).bytes();
    for (std::size_t size = 0; size < whole.size(); ++size) {
        Request sender;
        EXPECT_FALSE(parse_request(std::span(whole).first(size), &sender)) << size;
    }
}

TEST(DmLogRequest, LengthsThatContradictEachOtherStillTellWhoAsks) {
    const std::vector<std::function<void(Datagram&)>> lies = {
        [](Datagram& lie) { lie.head.data_size = 17; },
        [](Datagram& lie) { lie.head.data_size = 0xffff'ffff; },
        [](Datagram& lie) { lie.connector.len = 8; },
        [](Datagram& lie) { lie.connector.len = 0xffff; },
        [](Datagram& lie) { lie.netlink.nlmsg_len = 20; },
        [](Datagram& lie) { lie.netlink.nlmsg_len = 0xffff'ffff; },
        [](Datagram& lie) {
            lie.data.resize(400);
            lie.head.data_size = 400;
            lie.connector.len = 560;
            lie.netlink.nlmsg_len = 596;
        },
    };
    for (std::size_t i = 0; i < lies.size(); ++i) {
        Datagram lie{mark()};
        lies[i](lie);
        Request sender;
        const auto parsed = parse_request(lie.bytes(), &sender);
        ASSERT_FALSE(parsed) << i;
        EXPECT_EQ(parsed.error().code, EBADMSG) << i;
        EXPECT_EQ(sender.head.seq, 77U) << i;
        EXPECT_EQ(sender.head.data_size, 0U) << i;
    }
}

TEST(DmLogRequest, UuidWithoutEndIsCut) {
    Datagram endless{mark()};
    endless.head.uuid.fill('x');
    Request sender;
    const auto parsed = parse_request(endless.bytes(), &sender);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->uuid().size(), 128U);
}

TEST(DmLogAnswer, CarriesSequenceErrorAndExactLengths) {
    std::vector<std::byte> bytes;
    encode_answer(mark(), Answer::numbers(1, 5), bytes);
    ASSERT_EQ(bytes.size(), 36U + 160U + 16U);
    nlmsghdr netlink{};
    std::memcpy(&netlink, bytes.data(), sizeof netlink);
    EXPECT_EQ(netlink.nlmsg_len, bytes.size());
    EXPECT_EQ(netlink.nlmsg_type, NLMSG_DONE);
    Request sender;
    const auto back = parse_request(bytes, &sender);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->head.seq, 77U);
    EXPECT_EQ(back->head.error, 0);
    ASSERT_TRUE(back->has_numbers(2));
    EXPECT_EQ(back->number(1), 5U);
    encode_answer(mark(), Answer::failed(EINVAL), bytes);
    EXPECT_EQ(bytes.size(), 36U + 160U);
    EXPECT_EQ(parse_request(bytes, &sender)->head.error, -EINVAL);
}

TEST(DmLogAnswer, TextEndsWithItsNulAlsoWhereItIsCut) {
    EXPECT_EQ(test::text_of(Answer::text("1 core")), std::string("1 core\0", 7));
    const std::string cut = test::text_of(Answer::text(std::string(1000, 'x')));
    EXPECT_EQ(cut.size(), abi::kDataRoom);
    EXPECT_EQ(cut.back(), '\0');
}

}  // namespace
}  // namespace lunkit::dm_log
