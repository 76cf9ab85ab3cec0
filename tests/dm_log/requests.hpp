// SPDX-License-Identifier: Apache-2.0
// Requests as the kernel makes them, and what an answer says.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "dm_log/request.hpp"

namespace lunkit::test {

using dm_log::Answer;
using dm_log::Request;
namespace abi = dm_log::abi;

inline Request request(abi::RequestType type, std::uint64_t luid = 1,
                       std::string_view uuid = "mirror-a") {
    Request made;
    made.head.luid = luid;
    std::copy(uuid.begin(), uuid.end(), made.head.uuid.begin());
    made.head.version = abi::kNewestVersion;
    made.head.request_type = static_cast<std::uint32_t>(type);
    return made;
}

inline Request with_numbers(Request made, const std::vector<std::uint64_t>& numbers) {
    made.head.data_size = static_cast<std::uint32_t>(numbers.size() * sizeof(std::uint64_t));
    std::memcpy(made.room.data(), numbers.data(), made.head.data_size);
    return made;
}

inline Request with_text(Request made, std::string_view text) {
    made.head.data_size = static_cast<std::uint32_t>(text.size());
    std::memcpy(made.room.data(), text.data(), text.size());
    return made;
}

inline std::vector<std::uint64_t> numbers_of(const Answer& answer) {
    std::vector<std::uint64_t> numbers(answer.data().size() / sizeof(std::uint64_t));
    std::memcpy(numbers.data(), answer.data().data(), numbers.size() * sizeof(std::uint64_t));
    return numbers;
}

inline std::string text_of(const Answer& answer) {
    return {reinterpret_cast<const char*>(answer.data().data()), answer.data().size()};
}

}  // namespace lunkit::test
