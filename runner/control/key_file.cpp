// SPDX-License-Identifier: Apache-2.0
#include "control/key_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <map>
#include <utility>

#include "core/system_failure.hpp"
#include "core/trimmed.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::control {
namespace {

constexpr std::size_t kMaxFileSize = 1 << 20;

class Parser {
  public:
    Parser(const std::string& file, KeyFileTaker& taker) : file_(file), taker_(taker) {}

    KeyFileErrors parse(std::string_view text) {
        while (!text.empty()) {
            const std::size_t end = text.find('\n');
            ++line_;
            take_line(text.substr(0, end));
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        }
        end_group();
        return std::move(errors_);
    }

  private:
    void complain(const std::string& what) { complain(line_, what); }
    void complain(unsigned line, const std::string& what) {
        errors_.push_back(fmt::format("{}:{}: {}", file_, line, what));
    }

    void end_group() {
        if (group_state_ != GroupState::kKnown) {
            return;
        }
        if (const Status ended = taker_.end_group(group_); !ended) {
            complain(groups_[group_], ended.error().what);
        }
    }

    void take_line(std::string_view raw) {
        const std::string_view line = core::trimmed(raw);
        if (line.empty() || line.front() == '#' || line.front() == ';') {
            return;
        }
        const auto control = [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; };
        if (std::ranges::any_of(line, control)) {
            complain("control characters");
        } else if (line.front() == '[') {
            take_group(line);
        } else {
            take_key(line);
        }
    }

    void take_group(std::string_view line) {
        end_group();
        group_state_ = GroupState::kUnknown;
        if (line.back() != ']') {
            complain(fmt::format("'{}' lacks its ']'", line));
            return;
        }
        group_ = std::string(line.substr(1, line.size() - 2));
        if (!taker_.knows_group(group_)) {
            complain(fmt::format("unknown group [{}]", group_));
            return;
        }
        const auto [seen, is_new] = groups_.try_emplace(group_, line_);
        if (!is_new) {
            complain(fmt::format("group [{}] is already on line {}", group_, seen->second));
            return;  // its keys say nothing new
        }
        group_state_ = GroupState::kKnown;
    }

    void take_key(std::string_view line) {
        const std::size_t equals = line.find('=');
        const std::string_view key = core::trimmed(line.substr(0, equals));
        if (equals == std::string_view::npos || key.empty()) {
            complain(fmt::format("'{}' is neither [group] nor key=value", line));
            return;
        }
        if (group_state_ != GroupState::kKnown) {
            // Keys of a group that was already complained about say nothing new.
            if (group_state_ == GroupState::kNone) {
                complain(fmt::format("key '{}' stands before the first [group]", key));
            }
            return;
        }
        if (const std::string unknown = taker_.unknown_key(group_, key); !unknown.empty()) {
            complain("unknown key " + unknown);
            return;
        }
        const auto [seen, is_new] = keys_.try_emplace({group_, std::string(key)}, line_);
        if (!is_new) {
            complain(fmt::format("key '{}' is already on line {}", key, seen->second));
            return;
        }
        const Status status = taker_.take(group_, key, core::trimmed(line.substr(equals + 1)));
        if (!status) {
            complain(fmt::format("{}: {}", key, status.error().what));
        }
    }

    enum class GroupState : std::uint8_t { kNone, kKnown, kUnknown };

    const std::string& file_;
    KeyFileTaker& taker_;
    unsigned line_ = 0;
    GroupState group_state_ = GroupState::kNone;
    std::string group_;
    std::map<std::string, unsigned> groups_;                        // -> line
    std::map<std::pair<std::string, std::string>, unsigned> keys_;  // -> line
    KeyFileErrors errors_;
};

}  // namespace

KeyFileErrors parse_key_file(std::string_view text, const std::string& file, KeyFileTaker& taker) {
    return Parser(file, taker).parse(text);
}

Result<std::string> read_key_file(const std::string& path) {
    // O_NONBLOCK: a FIFO at this place shall be refused, not waited for.
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        return core::system_failure(path);
    }
    if (!S_ISREG(status.st_mode)) {
        return failure(EINVAL, path + ": not a regular file");
    }
    std::string text;
    std::array<char, 4096> piece{};
    for (;;) {
        const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return core::system_failure(path);
        }
        if (got == 0) {
            return text;
        }
        text.append(piece.data(), static_cast<std::size_t>(got));
        if (text.size() > kMaxFileSize) {
            return failure(EFBIG, path + ": larger than 1 MiB");
        }
    }
}

}  // namespace lunkit::control
