// SPDX-License-Identifier: Apache-2.0
#include "cli/live_view.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "cli/daemon_client.hpp"
#include "cli/json_values.hpp"
#include "cli/text_table.hpp"
#include "lunkit/try.hpp"

namespace lunkit::cli {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t g_ended = 0;  // NOLINT: a signal handler has nothing else

/// The terminal while it is ours: another screen, keys as they come. As it was when this goes.
class Terminal {
  public:
    Terminal() {
        ::tcgetattr(STDIN_FILENO, &usual_);
        termios keys = usual_;
        keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
        ::tcsetattr(STDIN_FILENO, TCSANOW, &keys);
        // They come only while we wait, so that none is missed.
        struct sigaction action{};
        action.sa_handler = [](int) { g_ended = 1; };
        sigset_t held{};
        sigemptyset(&held);
        for (const int signal : {SIGTERM, SIGHUP, SIGINT}) {
            ::sigaction(signal, &action, nullptr);
            sigaddset(&held, signal);
        }
        ::pthread_sigmask(SIG_BLOCK, &held, &usual_signals_);
        put("\x1b[?1049h\x1b[?25l");
    }
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;
    Terminal(Terminal&&) = delete;
    Terminal& operator=(Terminal&&) = delete;
    ~Terminal() {
        put("\x1b[?25h\x1b[?1049l");
        ::pthread_sigmask(SIG_SETMASK, &usual_signals_, nullptr);
        ::tcsetattr(STDIN_FILENO, TCSANOW, &usual_);
    }

    static bool is_there() { return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0; }

    static void show(const std::string& text) {
        winsize window{};
        if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_row == 0) {
            window = {.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
        }
        put("\x1b[H" + clipped(text, window.ws_row, window.ws_col));
    }

    /// False when the user has had enough.
    [[nodiscard]] bool wait_until(Clock::time_point when) const {
        for (;;) {
            const auto left = std::max(std::chrono::nanoseconds(when - Clock::now()),
                                       std::chrono::nanoseconds(0));
            const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
            const timespec longest{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
            pollfd keys{STDIN_FILENO, POLLIN, 0};
            const int ready = ::ppoll(&keys, 1, &longest, &usual_signals_);
            if (g_ended != 0) {
                return false;
            }
            if (ready == 0) {
                return true;
            }
            constexpr char kInterrupt = 3;
            char key = 'q';  // so is the end of the input
            if (ready > 0 &&
                (::read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == kInterrupt)) {
                return false;
            }
        }
    }

  private:
    static void put(const std::string& text) {
        (void)std::fputs(text.c_str(), stdout);  // a terminal that is gone ends us by SIGHUP
        (void)std::fflush(stdout);
    }
    termios usual_{};
    sigset_t usual_signals_{};
};

struct Sample {
    Clock::time_point when;
    json devices;
};

Result<Sample> take_sample(std::chrono::milliseconds patience) {
    TRY(const DaemonClient daemon, DaemonClient::connect({.answer = patience}));
    TRY(json devices, daemon.devices());
    return Sample{Clock::now(), std::move(devices)};
}

std::string title(std::chrono::milliseconds interval) {
    return fmt::format("lunkit {}  {:%H:%M:%S}  every {:g} s, q ends\n\n", LUNKIT_VERSION,
                       fmt::localtime(std::time(nullptr)),
                       std::chrono::duration<double>(interval).count());
}

Status print(const std::string& text) {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
        return failure(errno, "cannot write the answer");
    }
    return {};
}

Status print_views(LiveView view) {
    TRY(Sample before, take_sample(Patience().answer));
    for (unsigned shown = 0; view.count == 0 || shown < view.count; ++shown) {
        (void)::poll(nullptr, 0, static_cast<int>(view.interval.count()));  // a pause
        TRY(Sample now, take_sample(Patience().answer));
        CHECK(print((shown == 0 ? "" : "\n") +
                    rates_report(before.devices, now.devices, now.when - before.when)));
        before = std::move(now);
    }
    return {};
}

void show_views(std::chrono::milliseconds interval) {
    constexpr std::chrono::seconds kPatience{2};  // keys are not heard meanwhile
    const Terminal terminal;
    std::optional<Sample> before;
    do {
        Result<Sample> now = take_sample(kPatience);
        const Sample& since = before ? *before : now ? *now : Sample();
        Terminal::show(title(interval) +
                       (now ? rates_report(since.devices, now->devices, now->when - since.when)
                            : now.error().what + "\n"));
        before = now ? std::optional(*std::move(now)) : std::nullopt;
    } while (terminal.wait_until(Clock::now() + interval));
}

/// Of what has ended since `before`; "-": nothing has, or all began anew.
std::string mean_latency(const json& before, const json& now) {
    std::uint64_t ended = 0;
    std::uint64_t spent = 0;  // nanoseconds, of all commands together
    for (const char* const kind : {"read", "write", "other"}) {
        const json then_told = latency_of(before, kind);
        const json now_told = latency_of(now, kind);
        const auto grown = [&](const char* key) {
            return number_of(now_told, key) - number_of(then_told, key);
        };
        if (number_of(now_told, "count") >= number_of(then_told, "count") &&
            number_of(now_told, "sum_ns") >= number_of(then_told, "sum_ns")) {
            ended += grown("count");
            spent += grown("sum_ns");
        }
    }
    return ended > 0 ? duration_text(spent / ended) : "-";
}

}  // namespace

std::string rates_report(const json& before, const json& now,
                         std::chrono::duration<double> elapsed) {
    if (now.empty()) {
        return "no devices\n";
    }
    struct Row {
        std::uint64_t commands;
        std::size_t place;  // in the daemon's list
        std::vector<std::string> cells;
    };
    std::vector<Row> rows;
    for (const json& device : now) {
        const auto older = std::ranges::find_if(before, [&device](const json& other) {
            return text_of(other, "front_end") == text_of(device, "front_end") &&
                   text_of(other, "name") == text_of(device, "name");
        });
        // Another device by the name, or another daemon, has begun from nothing.
        const auto grown = [&](const char* key) -> std::uint64_t {
            const std::uint64_t base = older != before.end() ? number_of(*older, key) : 0;
            const std::uint64_t value = number_of(device, key);
            return older == before.end() || value < base ? 0 : value - base;
        };
        const auto rate = [&](const char* key) {
            return elapsed.count() > 0 ? static_cast<double>(grown(key)) / elapsed.count() : 0.0;
        };
        const auto bytes_per_second = [&](const char* key) {
            return size_text(static_cast<std::uint64_t>(rate(key)));
        };
        rows.push_back(
            {grown("read_commands") + grown("write_commands") + grown("other_commands"),
             rows.size(),
             {text_of(device, "name"), text_of(device, "state"),
              fmt::format("{:.0f}", rate("read_commands")), bytes_per_second("read_bytes"),
              fmt::format("{:.0f}", rate("write_commands")), bytes_per_second("write_bytes"),
              fmt::format("{:.0f}", rate("other_commands")),
              older != before.end() ? mean_latency(*older, device) : "-",
              fmt::to_string(number_of(device, "in_flight")),
              fmt::to_string(number_of(device, "errors"))}});
    }
    std::ranges::sort(rows, [](const Row& a, const Row& b) {
        return a.commands != b.commands ? a.commands > b.commands : a.place < b.place;
    });
    using enum TextTable::Align;
    TextTable table({{"NAME"},
                     {"STATE"},
                     {"READS/s", kRight},
                     {"READ/s", kRight},
                     {"WRITES/s", kRight},
                     {"WRITTEN/s", kRight},
                     {"OTHER/s", kRight},
                     {"LATENCY", kRight},
                     {"IN FLIGHT", kRight},
                     {"ERRORS", kRight}});
    for (Row& row : rows) {
        table.add(std::move(row.cells));
    }
    return table.text();
}

std::string clipped(const std::string& text, std::size_t lines, std::size_t columns) {
    std::string out;
    std::istringstream in(text);
    std::string line;
    for (std::size_t shown = 0; shown < lines; ++shown) {
        if (!std::getline(in, line)) {
            line.clear();
        }
        std::size_t width = 0;
        std::size_t end = 0;
        for (; end < line.size(); ++end) {
            constexpr unsigned kMask = 0xc0;
            constexpr unsigned kContinues = 0x80;  // UTF-8: no character of its own
            width += (static_cast<unsigned char>(line[end]) & kMask) == kContinues ? 0 : 1;
            if (width > columns) {
                break;
            }
        }
        // The last line has no end, which would scroll.
        out += (shown == 0 ? "\x1b[K" : "\r\n\x1b[K") + line.substr(0, end);
    }
    return out;
}

Status run_live_view(LiveView view) {
    if (view.count != 0 || !Terminal::is_there()) {
        return print_views(view);
    }
    show_views(view.interval);
    return {};
}

}  // namespace lunkit::cli
