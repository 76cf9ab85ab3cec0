// SPDX-License-Identifier: Apache-2.0
// Datagrams of the netlink connector from arbitrary bytes, and the requests in them put to a log.
//
// Input: one byte that says how the log begins, then datagrams: as they are, or as the kernel makes
// them, with at most one of their lengths changed, else few inputs would get beyond the headers.
// Checked: no access outside a datagram (a heap block of its exact size, under AddressSanitizer),
// a request has no more data than its datagram, an answer has the size that the kernel expects and
// can be read as a message again, counts of regions are those of the bits, none beyond the last
// region is set, and arguments that are taken make a log that covers its device.
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "dm_log/answers.hpp"
#include "dm_log/dirty_log.hpp"
#include "dm_log/log_arguments.hpp"
#include "dm_log/request.hpp"
#include "script.hpp"

namespace {

using lunkit::dm_log::Answer;
using lunkit::dm_log::DirtyLog;
using lunkit::dm_log::LogArguments;
using lunkit::dm_log::LogText;
using lunkit::dm_log::Request;
using lunkit::fuzz::must;
using lunkit::fuzz::Script;
namespace abi = lunkit::dm_log::abi;
using abi::RequestType;

constexpr std::uint64_t kRegions = 100;  // two words of bits, the second not full
constexpr LogText kText{.status = "1 core", .table = "core 1024"};

struct Headers {
    nlmsghdr netlink;
    abi::ConnectorHeader connector;
    abi::UlogRequest request;
};
constexpr std::size_t kHeaderBytes =
    sizeof(nlmsghdr) + sizeof(abi::ConnectorHeader) + sizeof(abi::UlogRequest);

std::vector<std::byte> as_it_is(Script& script) {
    std::vector<std::byte> datagram(script.word() % 700);
    script.fill(datagram);
    return datagram;
}

void change_a_length(Headers& headers, Script& script) {
    switch (script.byte()) {
        case 1:
            headers.request.data_size = script.word();
            break;
        case 2:
            headers.connector.len = script.word();
            break;
        case 3:
            headers.netlink.nlmsg_len = script.word();
            break;
        case 4:
            headers.request.data_size = ~std::uint32_t{script.word()};
            break;
        default:
            break;
    }
}

template <typename Part>
void put(std::vector<std::byte>& datagram, const Part& part) {
    const auto bytes = std::as_bytes(std::span(&part, 1));
    datagram.insert(datagram.end(), bytes.begin(), bytes.end());
}

std::vector<std::byte> as_the_kernel_makes_it(Script& script) {
    Headers headers{};
    headers.request.luid = script.byte();
    headers.request.uuid.fill('u');
    headers.request.version = abi::kNewestVersion;
    headers.request.request_type = script.byte();
    const std::size_t size = script.word() % (abi::kDataRoom + 8);
    headers.request.data_size = static_cast<std::uint32_t>(size);
    headers.connector.idx = abi::kConnectorIdx;
    headers.connector.val = abi::kConnectorValue;
    headers.connector.len = static_cast<std::uint16_t>(sizeof(abi::UlogRequest) + size);
    headers.netlink.nlmsg_len = static_cast<std::uint32_t>(kHeaderBytes + size);
    change_a_length(headers, script);
    std::vector<std::byte> datagram;
    datagram.reserve(kHeaderBytes + size);
    put(datagram, headers.netlink);
    put(datagram, headers.connector);
    put(datagram, headers.request);
    datagram.resize(kHeaderBytes + size);
    script.fill(std::span(datagram).subspan(kHeaderBytes));
    return datagram;
}

/// What a reply to it carries, in bytes; none: a text.
std::optional<std::size_t> expected_size(const Request& request) {
    switch (request.type().value_or(RequestType::kCtr)) {
        case RequestType::kGetRegionSize:
        case RequestType::kIsClean:
        case RequestType::kInSync:
        case RequestType::kGetSyncCount:
            return 8;
        case RequestType::kGetResyncWork:
        case RequestType::kIsRemoteRecovering:
            return 16;
        case RequestType::kStatusInfo:
        case RequestType::kStatusTable:
            return std::nullopt;
        default:
            return 0;
    }
}

void check_answer(const Request& request, const Answer& answer) {
    const auto expected = expected_size(request);
    if (answer.error() == 0 || answer.error() == -ESRCH) {
        must(expected ? answer.data().size() == *expected || request.type() == RequestType::kDtr
                      : !answer.data().empty());
    } else {
        must(answer.data().empty());
    }
    std::vector<std::byte> datagram;
    encode_answer(request, answer, datagram);
    Request sender;
    const auto again = lunkit::dm_log::parse_request(datagram, &sender);
    must(again && again->head.seq == request.head.seq && again->head.error == answer.error());
    must(std::ranges::equal(again->data(), answer.data()));
}

void check_bits(const DirtyLog& log) {
    std::uint64_t clean = 0;
    for (const std::uint64_t word : log.clean_words()) {
        clean += static_cast<std::uint64_t>(std::popcount(word));
    }
    std::uint64_t in_sync = 0;
    std::uint64_t clean_ones = 0;
    for (std::uint64_t region = 0; region < log.regions(); ++region) {
        in_sync += log.in_sync(region) ? 1 : 0;
        clean_ones += log.is_clean(region) ? 1 : 0;
    }
    must(clean == clean_ones);  // none is set behind the last region
    must(clean == log.clean_count() && in_sync == log.sync_count());
}

void check_arguments(const Request& request) {
    std::string_view text = request.text();
    if (text.ends_with('\0')) {
        text.remove_suffix(1);
    }
    const auto log = lunkit::dm_log::parse_log_arguments(text);
    if (!log) {
        must(!log.error().what.empty());
        return;
    }
    must(std::has_single_bit(log->region_size));
    must(log->regions() >= 1 && log->regions() <= lunkit::dm_log::kMaxRegions);
    must((log->device_sectors - 1) / log->region_size == log->regions() - 1);
    must(log->path.empty() || log->path.starts_with('/'));
}

#ifdef LUNKIT_FUZZ_PLANT
/// The planted bug: of a request whose lengths contradict each other, its own is believed.
void use_refused(std::span<const std::byte> datagram) {
    abi::UlogRequest head{};
    std::memcpy(&head, datagram.data() + kHeaderBytes - sizeof head, sizeof head);
    std::uint8_t sum = 0;
    for (std::size_t i = 0; i < std::min<std::size_t>(head.data_size, abi::kDataRoom); ++i) {
        sum = static_cast<std::uint8_t>(
            sum + std::to_integer<std::uint8_t>(datagram.data()[kHeaderBytes + i]));
    }
    volatile std::uint8_t used = sum;
    (void)used;
}
#endif

void serve(DirtyLog& log, const LogArguments& arguments, std::span<const std::byte> datagram) {
    Request sender;
    const auto request = lunkit::dm_log::parse_request(datagram, &sender);
    if (!request) {
        must(request.error().code == ENOMSG || request.error().code == EBADMSG);
        if (request.error().code == EBADMSG) {
            must(sender.data().empty());
            check_answer(sender, Answer::failed(EBADMSG));
#ifdef LUNKIT_FUZZ_PLANT
            use_refused(datagram);
#endif
        }
        return;
    }
    must(request->data().size() <= abi::kDataRoom);
    must(std::ranges::equal(request->data(),
                            datagram.subspan(kHeaderBytes, request->data().size())));
    must(request->uuid().size() < abi::kUuidRoom);
    if (request->type() == RequestType::kCtr) {
        check_arguments(*request);
        return;
    }
    check_answer(*request, unknown_log(*request));
    if (request->type() == RequestType::kResume) {
        log.resume();
    } else if (request->type() != RequestType::kDtr) {
        check_answer(*request, answer_for(log, arguments, kText, *request));
    }
    check_bits(log);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Script script({data, size});
    std::vector<std::uint64_t> memory(DirtyLog::words_for(kRegions));
    DirtyLog log(kRegions, memory);
    if (const std::uint8_t begins = script.byte(); begins % 3 != 0) {
        log.begin({}, 0, begins % 3 == 1);
    }
    LogArguments arguments;
    arguments.device_sectors = kRegions * 1024;
    arguments.region_size = 1024;
    for (int count = 0; count < 64 && !script.empty(); ++count) {
        const bool is_raw = script.byte() == 0;
        serve(log, arguments, is_raw ? as_it_is(script) : as_the_kernel_makes_it(script));
    }
    return 0;
}
