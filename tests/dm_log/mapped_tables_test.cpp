// SPDX-License-Identifier: Apache-2.0
#include "dm_log/mapped_tables.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/dm-ioctl.h>

#include <algorithm>
#include <cstring>
#include <string_view>

namespace lunkit::dm_log {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

template <typename Head>
std::size_t put(std::vector<std::byte>& data, const Head& head, std::size_t size,
                std::string_view text) {
    const std::size_t offset = data.size();
    data.resize((offset + size + text.size() + 1 + 7) / 8 * 8);
    std::memcpy(data.data() + offset, &head, size);
    std::memcpy(data.data() + offset + size, text.data(), text.size());
    return offset;
}

std::vector<std::byte> table(const std::vector<std::pair<std::string, std::string>>& targets) {
    std::vector<std::byte> data;
    for (const auto& [type, arguments] : targets) {
        dm_target_spec head{};
        std::ranges::copy(type, head.target_type);
        const std::size_t offset = put(data, head, sizeof head, arguments);
        head.next = static_cast<std::uint32_t>(data.size());
        std::memcpy(data.data() + offset, &head, sizeof head);
    }
    return data;
}

TEST(MappedTables, UuidsOfLogsInUserSpace) {
    const auto data = table({{"linear", "8:0 0"},
                             {"mirror", "userspace 4 uuid-a core 1024 sync 2 1:0 0 1:1 0"},
                             {"mirror", "disk 2 8:1 1024 2 1:0 0 1:1 0"},
                             {"mirror", "userspace 3 uuid-b core 1024 2 1:0 0 1:1 0"}});
    LogUuids uuids;
    parse_table(data, 4, uuids);
    EXPECT_THAT(uuids, ElementsAre("uuid-a", "uuid-b"));
    LogUuids first;
    parse_table(data, 2, first);
    EXPECT_THAT(first, ElementsAre("uuid-a"));
}

TEST(MappedTables, TableThatEndsTooEarlyIsNotReadBeyond) {
    const auto whole = table({{"mirror", "userspace 3 u core 2"}, {"mirror", "userspace 3 v"}});
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const std::vector<std::byte> cut(whole.begin(),
                                         whole.begin() + static_cast<std::ptrdiff_t>(size));
        LogUuids uuids;
        parse_table(cut, 9, uuids);
        EXPECT_LE(uuids.size(), 2U);
    }
    LogUuids none;
    parse_table(table({{"mirror", "userspace "}, {"mirror", "userspace 3"}}), 2, none);
    EXPECT_THAT(none, IsEmpty());
}

TEST(MappedTables, NumbersOfDevices) {
    std::vector<std::byte> data;
    for (const std::string_view name : {"one", "second"}) {
        dm_name_list head{};
        head.dev = name == "one" ? 0xfd00 : 0x1fd01;
        const std::size_t offset = put(data, head, offsetof(dm_name_list, name), name);
        data.resize(std::max(data.size(), offset + sizeof head));
        if (name == "one") {
            head.next = static_cast<std::uint32_t>(data.size() - offset);
            std::memcpy(data.data() + offset, &head, offsetof(dm_name_list, name));
        }
    }
    EXPECT_THAT(parse_devices(data), ElementsAre(0xfd00, 0x1fd01));
    EXPECT_THAT(parse_devices({}), IsEmpty());
    EXPECT_THAT(parse_devices(std::vector<std::byte>(64)), IsEmpty());  // dev 0: none
}

}  // namespace
}  // namespace lunkit::dm_log
