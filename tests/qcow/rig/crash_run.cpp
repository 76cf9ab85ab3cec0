// SPDX-License-Identifier: Apache-2.0
#include "rig/crash_run.hpp"

#include <cerrno>
#include <chrono>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "rig/checker.hpp"
#include "rig/cut_judge.hpp"

namespace lunkit::qcow_rig {

namespace {

/// The live part: the handler works, everything is recorded.
class LivePart {
  public:
    LivePart(HandlerEntry entry, const BuiltImage& image, const CrashOptions& options,
             WriteLog& log, SectorModel& model)
        : entry_(entry), image_(image), options_(options), log_(log), model_(model) {}

    std::optional<std::string> run(CrashReport& report) {
        RecordingHost host(options_.seed, &log_);
        host.set_block_devices(image_.kind().block_device);
        auto subject = Subject::open(entry_, host, {.config = image_.config() + options_.config});
        if (!subject && subject.error().code == ENOTSUP) {
            report.refused = subject.error().what;
            return {};
        }
        if (!subject) {
            return "open: " + subject.error().what;
        }
        inject_faults(host);
        WorkloadOptions workload_options = options_.workload;
        workload_options.seed = options_.seed * 7 + 3;
        workload_options.errors_expected = options_.fault_every != 0;
        Workload workload(workload_options, **subject, host, log_, model_);
        std::optional<std::string> finding =
            options_.script ? options_.script(workload, host) : workload.run();
        host.set_faults({});
        if (!finding && options_.fault_every == 0) {
            finding = workload.read_all();
        }
        if (options_.settle && options_.clean_close && !host.has_latched()) {
            workload.settle();
        }
        if (options_.clean_close || finding) {
            (*subject)->close();
        } else {
            // As killed: nobody waits for the handler's memory. The leak checker may know.
            static auto* const killed = new std::vector<std::unique_ptr<Subject>>;
            killed->push_back(std::move(*subject));
        }
        report.file_operations += host.operations();
        if (!finding && options_.clean_close && options_.fault_every == 0) {
            finding = check_closed();
        }
        return finding;
    }

  private:
    void inject_faults(RecordingHost& host) {
        if (options_.fault_every == 0) {
            return;
        }
        host.set_faults(
            [random = std::mt19937_64(options_.seed * 5 + 2), every = options_.fault_every](
                FileCall, std::uint64_t, std::uint64_t) mutable {
                Fault fault;
                if (random() % every == 0) {
                    fault.error = (random() & 1) != 0 ? EIO : ENOSPC;
                    fault.applied = (random() & 1) != 0;
                }
                return fault;
            });
    }

    /// An orderly end leaves nothing to repair, unless the repair itself has not ended.
    [[nodiscard]] std::optional<std::string> check_closed() const {
        const auto image = read_file(image_.path());
        if (!image) {
            return image.error().what;
        }
        const CheckReport check = check_image(*image);
        const bool unmended = image_.kind().dirty && !options_.settle && check.dirty;
        if (!check.sound() || (!unmended && (check.dirty || check.leaked_clusters != 0))) {
            return "after an orderly close: " + check.text();
        }
        return image_.kind().data_file_raw ? check_raw_data() : std::nullopt;
    }

    /// Who knows nothing of the image reads the disk in its raw data file.
    [[nodiscard]] std::optional<std::string> check_raw_data() const {
        const auto data = read_file(image_.data_path());
        if (!data) {
            return data.error().what;
        }
        static const Bytes kZeroSector(kSector);
        for (std::uint64_t s = 0; s < model_.sectors(); ++s) {
            const bool there = (s + 1) * kSector <= data->size();
            const std::byte* const sector = there ? &(*data)[s * kSector] : kZeroSector.data();
            if (auto objection = model_.objection(s, sector, kNever - 1, kNever); objection) {
                return "the raw data file: " + *objection;
            }
        }
        return {};
    }

    HandlerEntry entry_;
    const BuiltImage& image_;
    const CrashOptions& options_;
    WriteLog& log_;
    SectorModel& model_;
};

}  // namespace

void CrashReport::add(const CrashReport& other) {
    cuts += other.cuts;
    states += other.states;
    qemu_checks += other.qemu_checks;
    reopened += other.reopened;
    file_operations += other.file_operations;
    seconds_judging += other.seconds_judging;
    if (!finding) {
        finding = other.finding;
    }
}

CrashReport run_crash(HandlerEntry entry, const ImageKind& kind, const CrashOptions& options) {
    CrashReport report;
    auto image = BuiltImage::build(kind);
    if (!image) {
        report.finding = "the image cannot be made: " + image.error().what;
        return report;
    }
    WriteLog log;
    SectorModel model((*image)->initial());
    report.finding = LivePart(entry, **image, options, log, model).run(report);
    if (!report.finding && !report.refused) {
        const auto begin = std::chrono::steady_clock::now();
        report.finding = CutJudge(entry, **image, log, model, options, report).run();
        report.seconds_judging =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
    if (report.finding) {
        *report.finding = fmt::format("kind {} seed {} config '{}': {}", kind.name, options.seed,
                                      options.config, *report.finding);
    }
    return report;
}

}  // namespace lunkit::qcow_rig
