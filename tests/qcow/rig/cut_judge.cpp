// SPDX-License-Identifier: Apache-2.0
#include "rig/cut_judge.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "rig/checker.hpp"

namespace lunkit::qcow_rig {

namespace {

constexpr std::uint32_t kAbsent = UINT32_MAX;

}  // namespace

CutJudge::CutJudge(HandlerEntry entry, BuiltImage& image, const WriteLog& log, SectorModel& model,
                   const CrashOptions& options, CrashReport& report)
    : entry_(entry),
      image_(image),
      log_(log),
      model_(model),
      options_(options),
      report_(report),
      replayer_(log, options.seed * 2 + 1),
      random_(options.seed * 3 + 1),
      disk_(file_index(image.path())),
      data_(file_index(image.data_path())) {}

std::uint32_t CutJudge::file_index(const std::string& path) const {
    const auto found = std::ranges::find(log_.files(), path, &WriteLog::File::path);
    return found == log_.files().end() ? kAbsent
                                       : static_cast<std::uint32_t>(found - log_.files().begin());
}

std::optional<std::string> CutJudge::run() {
    if (disk_ == kAbsent) {
        return "the handler never opened the image for writing";
    }
    const std::uint64_t steps = log_.steps().size();
    while (replayer_.advance()) {
        const bool left_out = options_.most_cuts != 0 && random_() % steps >= options_.most_cuts;
        if (!replayer_.worth_a_cut() || left_out) {
            continue;
        }
        if (auto finding = judge_cut(); finding) {
            return finding;
        }
    }
    return {};
}

std::optional<std::string> CutJudge::judge_cut() {
    ++report_.cuts;
    model_.cut_at(replayer_.time());
    for (const Survival survival : kSurvivals) {
        if (survival == Survival::kNone && options_.most_cuts == 0 &&
            !replayer_.moved_the_barrier()) {
            continue;
        }
        if (auto finding = judge(survival); finding) {
            return finding;
        }
        if (!replayer_.anything_pending()) {
            break;
        }
    }
    // What was acknowledged outlives the process, unless the configuration renounces that.
    const bool renounced = options_.config.find("commit=flush") != std::string::npos;
    return renounced ? std::nullopt : judge(Survival::kKilled);
}

std::optional<std::string> CutJudge::judge(Survival survival) {
    replayer_.apply(survival);
    ++report_.states;
    std::optional<std::string> finding = judge_state(survival);
    if (finding) {
        *finding = fmt::format("cut at {} of {}, surviving: {}: {}", replayer_.time(),
                               log_.steps().size(), name_of(survival), *finding);
        keep_files(*finding);
    }
    replayer_.restore();
    return finding;
}

std::optional<std::string> CutJudge::judge_state(Survival survival) {
    const ImageView image = replayer_.file(disk_);
    if (const CheckReport check = check_image(image); !check.sound()) {
        return check.text();
    }
    if (auto finding = judge_content(image, survival); finding) {
        return finding;
    }
    if (options_.qemu_every != 0 && report_.states % options_.qemu_every == 1) {
        if (auto finding = ask_qemu(); finding) {
            return finding;
        }
    }
    if (options_.reopen_every != 0 && report_.states % options_.reopen_every == 2) {
        return reopen();
    }
    return {};
}

std::optional<std::string> CutJudge::judge_content(ImageView image, Survival survival) {
    const ImageView data = data_ == kAbsent ? ImageView() : replayer_.file(data_);
    auto reader = QcowReader::open(image, image_.backing(), data, inflated_, image_.cipher());
    if (!reader) {
        return reader.error().what;
    }
    const std::uint64_t sectors = (*reader)->sectors();
    if (sectors != model_.sectors() && sectors != options_.other_size / kSector) {
        return fmt::format("the disk has {} sectors", sectors);
    }
    for (std::uint64_t number = 0; number < std::min(sectors, model_.sectors()); ++number) {
        const std::byte* const sector = (*reader)->sector(number);
        if (sector == nullptr) {
            return fmt::format("sector {}: {}", number, (*reader)->why());
        }
        auto objection = survival == Survival::kKilled
                             ? model_.objection(number, sector, replayer_.time(), replayer_.time())
                             : model_.objection_after_cut(number, sector);
        if (objection) {
            return objection;
        }
    }
    for (std::uint64_t number = model_.sectors(); number < sectors; ++number) {
        const std::byte* const sector = (*reader)->sector(number);
        if (sector == nullptr || stamp_of(sector, number) != kZeros) {
            return fmt::format("sector {}, behind the disk's old end, is not zeros", number);
        }
    }
    return {};
}

Status CutJudge::put_files() {
    for (std::uint32_t index = 0; index < log_.files().size(); ++index) {
        CHECK(write_file(log_.files()[index].path, replayer_.file(index)));
    }
    return {};
}

/// What the rig's reader sees in the files, as put_files() or others left them.
Result<Bytes> CutJudge::content_of_files() {
    TRY(const Bytes image, read_file(image_.path()));
    Bytes data;
    if (data_ != kAbsent) {
        TRY(data, read_file(image_.data_path()));
    }
    TRY(const auto reader,
        QcowReader::open(image, image_.backing(), data, inflated_, image_.cipher()));
    return read_all(*reader);
}

std::optional<std::string> CutJudge::ask_qemu() {
    ++report_.qemu_checks;
    if (const Status status = put_files(); !status) {
        return status.error().what;
    }
    const auto before = content_of_files();
    const bool dirty = check_image(replayer_.file(disk_)).dirty;
    // A dirty image is repaired first, as whoever opens it does.
    const auto named = [this](std::vector<std::string> command) {
        std::ranges::copy(image_.naming(), std::back_inserter(command));
        return command;
    };
    const Finished check =
        run_program(named(dirty ? std::vector<std::string>{"qemu-img", "check", "-q", "-r", "all"}
                                : std::vector<std::string>{"qemu-img", "check"}));
    if (check.exit_code != 0 && check.exit_code != 3) {
        return "qemu-img check, not the rig, finds: " + check.output;
    }
    const std::string raw = image_.folder() / "read.raw";
    std::vector<std::string> convert = named({"qemu-img", "convert", "-O", "raw"});
    convert.push_back(raw);
    if (const Status status = must_run(convert); !status) {
        return status.error().what;
    }
    const auto read = read_file(raw);
    if (!read || !before || *read != *before) {
        return "qemu-img reads something else than the rig does";
    }
    return {};
}

std::optional<std::string> CutJudge::reopen() {
    ++report_.reopened;
    if (const Status status = put_files(); !status) {
        return status.error().what;
    }
    auto content = content_of_files();
    if (!content) {
        return content.error().what;
    }
    RecordingHost host(random_(), nullptr);
    host.set_block_devices(image_.kind().block_device);
    auto subject = Subject::open(
        entry_, host,
        {.config = image_.config() + options_.config, .take_over = (random_() & 1) != 0});
    if (!subject) {
        return "the handler does not open it again: " + subject.error().what;
    }
    if (auto finding = work_on(**subject, *content); finding) {
        return finding;
    }
    (*subject)->close();
    const auto image = read_file(image_.path());
    if (!image) {
        return image.error().what;
    }
    if (const CheckReport check = check_image(*image); !check.sound()) {
        return "after the handler went on and closed it: " + check.text();
    }
    if (auto after = content_of_files(); !after || *after != *content) {
        return "after the handler went on and closed it: other content than it was given";
    }
    return {};
}

/// Reads everything, writes here and there, reads everything.
std::optional<std::string> CutJudge::work_on(Subject& subject, Bytes& content) {
    constexpr int kWrites = 20;
    constexpr std::uint64_t kLongest = 128;
    const auto compare = [&]() -> std::optional<std::string> {
        Bytes read(content.size());
        if (const Status status = subject.run(Verb::kRead, 0, read); !status) {
            return fmt::format("the handler cannot read it: error {}", status.error().code);
        }
        if (read != content) {
            const auto difference = std::ranges::mismatch(read, content).in1 - read.begin();
            return fmt::format("opened again, the handler reads other content from sector {} on",
                               difference / static_cast<std::ptrdiff_t>(kSector));
        }
        return {};
    };
    if (auto finding = compare(); finding) {
        return finding;
    }
    const std::uint64_t sectors = content.size() / kSector;
    for (int i = 0; i < kWrites; ++i) {
        const std::uint64_t sector = random_() % sectors;
        const std::uint64_t count = std::min(1 + random_() % kLongest, sectors - sector);
        const std::span<std::byte> place(&content[sector * kSector], count * kSector);
        std::ranges::fill(place, std::byte{static_cast<unsigned char>(random_())});
        if (const Status status = subject.run(Verb::kWrite, sector * kSector, place); !status) {
            return fmt::format("opened again, it cannot be written: error {}", status.error().code);
        }
    }
    return compare();
}

void CutJudge::keep_files(std::string& finding) {
    if (options_.keep.empty()) {
        return;
    }
    const std::string folder =
        fmt::format("{}/{}-{}", options_.keep, image_.kind().name, options_.seed);
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error || !put_files()) {
        return;
    }
    for (const auto& file : std::filesystem::directory_iterator(image_.folder().path())) {
        std::filesystem::copy(file.path(), folder,
                              std::filesystem::copy_options::overwrite_existing, error);
    }
    finding += "; files in " + folder;
}

}  // namespace lunkit::qcow_rig
