// SPDX-License-Identifier: Apache-2.0
#include "cli/http_answer.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>
#include <string_view>

namespace lunkit::cli {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kMaxRequest = 8192;
constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The lines up to the empty one that ends them, or as much as comes.
std::string read_head(int from, std::chrono::milliseconds patience) {
    const auto limit = steady_clock::now() + patience;
    std::string head;
    std::array<char, 1024> more{};
    while (head.size() < kMaxRequest && !head.contains("\r\n\r\n") && !head.contains("\n\n")) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(limit - steady_clock::now());
        pollfd ready{.fd = from, .events = POLLIN, .revents = 0};
        const int found = ::poll(&ready, 1, static_cast<int>(std::max<long>(left.count(), 0)));
        if (found < 0 && errno == EINTR) {
            continue;
        }
        const ssize_t got = found > 0 ? ::read(from, more.data(), more.size()) : 0;
        if (got <= 0) {
            break;
        }
        head.append(more.data(), static_cast<std::size_t>(got));
    }
    return head;
}

struct Answer {
    std::string_view status;
    std::string_view type;
    std::string body;
    std::string_view also = {};  ///< a header line
};

std::string text_of(const Answer& answer, bool with_body) {
    return fmt::format(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n{}",
        answer.status, answer.type, answer.body.size(), answer.also,
        with_body ? std::string_view(answer.body) : "");
}

}  // namespace

Outcome answer_http(int from, std::chrono::milliseconds patience,
                    const std::function<Outcome()>& metrics) {
    const std::string head = read_head(from, patience);
    if (head.empty()) {
        return {};  // somebody looked whether the port is open
    }
    std::istringstream words(head.substr(0, head.find('\n')));
    std::string method;
    std::string target;
    std::string version;
    words >> method >> target >> version;
    if (!version.starts_with("HTTP/1.") || head.size() >= kMaxRequest) {
        return {kExitOk, text_of({"400 Bad Request", kText, "not understood\n"}, true), {}};
    }
    const bool with_body = method != "HEAD";
    if (with_body && method != "GET") {
        return {kExitOk,
                text_of({"405 Method Not Allowed", kText, "GET and HEAD only\n",
                         "Allow: GET, HEAD\r\n"},
                        true),
                {}};
    }
    if (target.substr(0, target.find('?')) != "/metrics") {
        return {kExitOk,
                text_of({"404 Not Found", kText, "/metrics is all there is\n"}, with_body),
                {}};
    }
    const Outcome got = metrics();
    if (got.code != kExitOk) {
        return {kExitOk, text_of({"503 Service Unavailable", kText, got.err}, with_body), got.err};
    }
    return {kExitOk, text_of({"200 OK", kMetrics, got.out}, with_body), got.err};
}

}  // namespace lunkit::cli
