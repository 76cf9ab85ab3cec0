// SPDX-License-Identifier: Apache-2.0
// qcow_crash: crash runs of the qcow handler, by hand and for hours.
//   qcow_crash --plugin FILE [--kind NAME]... [--seed N] [--runs N] [--ops N] [--cuts N] ...
// Exit: 0 nothing found, 1 a finding, 2 usage.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "rig/crash_run.hpp"
#include "toy/toy_writer.hpp"

namespace {

using lunkit::qcow_rig::CrashOptions;
using lunkit::qcow_rig::CrashReport;
using lunkit::qcow_rig::find_kind;
using lunkit::qcow_rig::HandlerEntry;
using lunkit::qcow_rig::image_kinds;
using lunkit::qcow_rig::ImageKind;

constexpr const char* kUsage = R"(usage: qcow_crash --plugin FILE [OPTION]...
  --plugin FILE   handler_qcow.so, or "toy": the rig's own writer
  --kind NAME     image kind, may be repeated; default all (--list names them)
  --seed N        first seed (default 1); a run is repeated by its kind, seed and --ops
  --runs N        seeds per kind (default 1)
  --seconds N     go on with new seeds until so much time has passed
  --ops N         requests of a run (default 120)
  --cuts N        about so many cuts per run (default 0: at every step)
  --depth N       requests in flight (default 8)
  --hot BYTES     most requests begin below this (default 0: anywhere)
  --faults N      one of N file operations fails (default 0: none)
  --config TEXT   further configuration for the handler, e.g. ";commit=flush"
  --kill          no orderly close
  --qemu-every N, --reopen-every N  states between two confirmations (0: none)
  --keep FOLDER   keep the files of a finding there
)";

struct Arguments {
    std::string plugin = LUNKIT_QCOW_PLUGIN;
    std::vector<const ImageKind*> kinds;
    std::uint64_t runs = 1;
    std::uint64_t seconds = 0;
    CrashOptions options;
};

bool take_number(std::string_view name, std::uint64_t value, Arguments& to) {
    CrashOptions& options = to.options;
    const auto number = static_cast<unsigned>(value);
    if (name == "--seed") {
        options.seed = value;
    } else if (name == "--runs") {
        to.runs = value;
    } else if (name == "--seconds") {
        to.seconds = value;
    } else if (name == "--ops") {
        options.workload.requests = number;
    } else if (name == "--cuts") {
        options.most_cuts = number;
    } else if (name == "--depth") {
        options.workload.depth = number;
    } else if (name == "--hot") {
        options.workload.hot_bytes = value;
    } else if (name == "--faults") {
        options.fault_every = number;
    } else if (name == "--qemu-every") {
        options.qemu_every = number;
    } else if (name == "--reopen-every") {
        options.reopen_every = number;
    } else {
        return false;
    }
    return true;
}

bool take(std::string_view name, const char* value, Arguments& to) {
    if (name == "--plugin") {
        to.plugin = value;
    } else if (name == "--config") {
        to.options.config = value;
    } else if (name == "--keep") {
        to.options.keep = value;
    } else if (name == "--kind") {
        to.kinds.push_back(find_kind(value));
        return to.kinds.back() != nullptr;
    } else {
        char* end = nullptr;
        const std::uint64_t number = std::strtoull(value, &end, 0);
        return *value != '\0' && *end == '\0' && take_number(name, number, to);
    }
    return true;
}

bool parse(std::vector<std::string> words, Arguments& to) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i] == "--kill") {
            to.options.clean_close = false;
        } else if (i + 1 == words.size() || !take(words[i], words[i + 1].c_str(), to)) {
            std::cerr << kUsage << words[i] << "?\n";
            return false;
        } else {
            ++i;
        }
    }
    if (to.kinds.empty()) {
        for (const ImageKind& kind : image_kinds()) {
            to.kinds.push_back(&kind);
        }
    }
    return true;
}

/// All kinds, seed after seed; the sum.
CrashReport run_all(HandlerEntry entry, Arguments& arguments) {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::seconds(arguments.seconds);
    CrashReport all;
    for (std::uint64_t run = 0; run < arguments.runs || Clock::now() < end; ++run) {
        for (const ImageKind* const kind : arguments.kinds) {
            const CrashReport report = run_crash(entry, *kind, arguments.options);
            if (report.refused) {
                std::cout << fmt::format("{}: refused: {}\n", kind->name, *report.refused);
                continue;
            }
            std::cout << fmt::format(
                             "{} seed {}: {} cuts, {} states, {} qemu, {} reopened, "
                             "{:.0f} states/s{}\n",
                             kind->name, arguments.options.seed, report.cuts, report.states,
                             report.qemu_checks, report.reopened,
                             static_cast<double>(report.states) /
                                 std::max(report.seconds_judging, 1e-6),
                             report.finding ? " FOUND: " + *report.finding : "")
                      << std::flush;
            all.add(report);
        }
        ++arguments.options.seed;
    }
    return all;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() == 1 && words[0] == "--list") {
        for (const ImageKind& kind : image_kinds()) {
            std::cout << kind.name << "  " << kind.options << '\n';
        }
        return 0;
    }
    Arguments arguments;
    arguments.options.workload.requests = 120;
    if (!parse(words, arguments)) {
        return 2;
    }
    HandlerEntry entry = lunkit::qcow_rig::toy_entry;
    if (arguments.plugin != "toy") {
        const auto loaded = lunkit::qcow_rig::load_plugin(arguments.plugin);
        if (!loaded) {
            std::cerr << "qcow_crash: " << loaded.error().what << '\n';
            return 2;
        }
        entry = *loaded;
    }
    const CrashReport all = run_all(entry, arguments);
    std::cout << fmt::format("{} cuts, {} states judged at {:.0f}/s, {} by qemu-img, {} reopened\n",
                             all.cuts, all.states,
                             static_cast<double>(all.states) / std::max(all.seconds_judging, 1e-6),
                             all.qemu_checks, all.reopened);
    if (all.finding) {
        std::cout << "first finding: " << *all.finding << '\n';
    }
    return all.finding ? 1 : 0;
}
