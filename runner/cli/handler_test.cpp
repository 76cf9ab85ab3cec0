// SPDX-License-Identifier: Apache-2.0
#include "cli/handler_test.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "cli/device_checks.hpp"
#include "cli/text_table.hpp"
#include "core/log.hpp"
#include "core/posted_call.hpp"
#include "core/queue_set.hpp"
#include "host/handler_directory.hpp"
#include "host/handler_registry.hpp"
#include "lunkit/try.hpp"

namespace lunkit::cli {
namespace {

using Kind = CheckResult::Kind;

/// A check may take that long before it counts as one that never ends.
constexpr std::chrono::seconds kPatience{60};
constexpr int kOpenings = 8;

/// In one line.
std::string reason(const Error& error) {
    std::string text =
        error.what.empty() ? std::generic_category().message(error.code) : error.what;
    std::ranges::replace(text, '\n', ' ');
    return text;
}

CheckResult result_of(std::string name, const Verdict& verdict) {
    if (!verdict) {
        return {std::move(name), Kind::kFailed, reason(verdict.error())};
    }
    return {std::move(name), verdict->empty() ? Kind::kPassed : Kind::kLeftOut, *verdict};
}

std::size_t open_descriptors() {
    std::error_code error;
    const std::filesystem::directory_iterator found("/proc/self/fd", error);
    return static_cast<std::size_t>(std::distance(begin(found), end(found)));
}

Detached tell(Task<Verdict> check, std::shared_ptr<std::promise<Verdict>> told) {
    const Task<Verdict> running = std::move(check);
    Verdict verdict = co_await running;
    told->set_value(std::move(verdict));
}

/// The handler under test, and what it runs on.
class Bench {
  public:
    static Result<std::unique_ptr<Bench>> make(const HandlerTest& test) {
        auto bench = std::unique_ptr<Bench>(new Bench(test));
        CHECK(test.plugin.empty()
                  ? bench->handlers_.load_directory(host::handler_directory(test.handler_dir))
                  : bench->handlers_.load(test.plugin));
        TRY(bench->queues_,
            core::QueueSet::start(core::EngineChoice::kAuto, 1, std::chrono::microseconds(0)));
        if (!bench->handlers_.knows(test.config)) {
            return failure(EINVAL, test.config + ": there is no such handler");
        }
        return bench;
    }

    /// Whether all checks ended, however: else requests are still on their way.
    bool run(std::vector<CheckResult>& results) {
        results.push_back(result_of("accepts its configuration",
                                    judged(handlers_.check_config(test_.config, false))));
        results.push_back(result_of("refuses a key that it does not know", unknown_key()));
        Status opened = open({});
        results.push_back(result_of("opens", judged(opened)));
        if (!opened) {
            return true;
        }
        const DeviceInfo info = device_->info();
        if (info.read_only) {
            results.push_back({"is tested by writing", Kind::kLeftOut, "it is read only"});
            return true;
        }
        block_size_ = std::max(test_.block_size, info.min_block_size);
        checks_.emplace(*device_, queues_->at(0), block_size_, test_.seed);
        for (const DeviceChecks::Check& check : DeviceChecks::all()) {
            if (!run_one(results, check.name, [this, &check] { return (*checks_.*check.run)(); })) {
                return false;
            }
            if (&check == DeviceChecks::all().data() && results.back().kind == Kind::kFailed) {
                return true;  // what it says of itself is no ground to go on from
            }
        }
        if (!reopen(results, "keeps its contents for a successor", {.take_over = true}) ||
            !reopen(results, "keeps its contents when it is served read only",
                    {.take_over = true, .read_only = true})) {
            return false;
        }
        results.push_back(leaves_nothing_open());
        return true;
    }

    /// Not while requests are on their way.
    void close() {
        handing_over_ = false;
        device_.reset();
    }

  private:
    struct How {
        bool take_over = false;
        bool read_only = false;
    };

    explicit Bench(const HandlerTest& test) : test_(test) {}

    static Verdict judged(const Status& status) {
        if (!status) {
            return std::unexpected(status.error());
        }
        return "";
    }

    Verdict unknown_key() const {
        if (handlers_.check_config(test_.config + ";no_such_key=1", true)) {
            return failure(EPROTO, "check_config accepts ';no_such_key=1'");
        }
        return "";
    }

    Status open(How how) {
        TRY(device_, handlers_.open({.config = test_.config,
                                     .name = "test",
                                     .size = test_.size,
                                     .block_size = block_size_,
                                     .read_only = how.read_only,
                                     .take_over = how.take_over,
                                     .size_changed = {},
                                     .handing_over = [this] { return handing_over_; }}));
        return {};
    }

    bool run_one(std::vector<CheckResult>& results, std::string name,
                 std::move_only_function<Task<Verdict>()> make) {
        auto told = std::make_shared<std::promise<Verdict>>();
        std::future<Verdict> verdict = told->get_future();
        core::call_on(queues_->at(0),
                      [make = std::move(make), told]() mutable { tell(make(), std::move(told)); });
        if (verdict.wait_for(kPatience) != std::future_status::ready) {
            results.push_back(
                {std::move(name), Kind::kFailed,
                 fmt::format("a request has not ended after {} s", kPatience.count())});
            return false;
        }
        results.push_back(result_of(std::move(name), verdict.get()));
        return true;
    }

    bool reopen(std::vector<CheckResult>& results, const char* name, How how) {
        device_.reset();
        if (const Status opened = open(how); !opened) {
            results.push_back({name, Kind::kFailed, reason(opened.error())});
            return true;
        }
        return run_one(results, name, [this] { return checks_->holds_contents(*device_); });
    }

    CheckResult leaves_nothing_open() {
        CheckResult result{.name = "leaves no descriptor open", .kind = Kind::kPassed, .why = {}};
        std::size_t before = 0;
        for (int opening = 0; opening < kOpenings; ++opening) {
            device_.reset();
            if (const Status opened = open({.take_over = true}); !opened) {
                result = {std::move(result.name), Kind::kFailed, reason(opened.error())};
                break;
            }
            const std::size_t now = open_descriptors();
            if (opening == 0) {
                before = now;
            } else if (opening == kOpenings - 1 && now > before) {
                result = {std::move(result.name), Kind::kFailed,
                          fmt::format("{} are open after the first opening, {} after the {}th",
                                      before, now, kOpenings)};
            }
        }
        return result;
    }

    const HandlerTest test_;
    host::HandlerRegistry handlers_;
    std::unique_ptr<core::QueueSet> queues_;
    bool handing_over_ = true;
    std::uint32_t block_size_ = test_.block_size;
    std::unique_ptr<BlockDevice> device_;
    std::optional<DeviceChecks> checks_;
};

const char* name_of(Kind kind) {
    switch (kind) {
        case Kind::kPassed:
            return "passed";
        case Kind::kFailed:
            return "failed";
        case Kind::kLeftOut:
            return "left out";
    }
    return "";
}

}  // namespace

Result<std::vector<CheckResult>> test_handler(const HandlerTest& test) {
    core::set_log_level(core::LogLevel::kWarning);  // goes to stderr; the answer is on stdout
    TRY(std::unique_ptr<Bench> made, Bench::make(test));
    std::vector<CheckResult> results;
    Bench* const bench = made.release();
    // Else requests are on their way, and use it to the end of the process.
    if (bench->run(results)) {
        bench->close();
        delete bench;
    }
    return results;
}

bool all_passed(const std::vector<CheckResult>& results) {
    return std::ranges::find(results, Kind::kFailed, &CheckResult::kind) == results.end();
}

std::string checks_report(const std::vector<CheckResult>& results) {
    std::string text = fmt::format("TAP version 13\n1..{}\n", results.size());
    for (std::size_t index = 0; index < results.size(); ++index) {
        const CheckResult& result = results[index];
        text += fmt::format("{}ok {} {}", result.kind == Kind::kFailed ? "not " : "", index + 1,
                            result.name);
        if (result.kind == Kind::kLeftOut) {
            text += " # SKIP " + printable(result.why);
        } else if (result.kind == Kind::kFailed) {
            text += fmt::format("\n# {}", printable(result.why));
        }
        text += '\n';
    }
    return text;
}

nlohmann::json checks_json(const std::vector<CheckResult>& results) {
    nlohmann::json list = nlohmann::json::array();
    for (const CheckResult& result : results) {
        list.push_back(
            {{"name", result.name}, {"result", name_of(result.kind)}, {"why", result.why}});
    }
    return list;
}

}  // namespace lunkit::cli
