// SPDX-License-Identifier: Apache-2.0
// CutJudge: whether the files that a power cut left are what they may be.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "rig/crash_run.hpp"
#include "rig/image_kind.hpp"
#include "rig/replayer.hpp"
#include "rig/sector_model.hpp"

namespace lunkit::qcow_rig {

class CutJudge {
  public:
    /// All outlive the judge. The image's files are overwritten by what is judged.
    CutJudge(HandlerEntry entry, BuiltImage& image, const WriteLog& log, SectorModel& model,
             const CrashOptions& options, CrashReport& report);

    /// Judges all cuts; the first finding, with what is needed to see it again.
    [[nodiscard]] std::optional<std::string> run();

  private:
    [[nodiscard]] std::optional<std::string> judge_cut();
    [[nodiscard]] std::optional<std::string> judge(Survival survival);
    [[nodiscard]] std::optional<std::string> judge_state(Survival survival);
    [[nodiscard]] std::optional<std::string> judge_content(ImageView image, Survival survival);
    [[nodiscard]] std::optional<std::string> ask_qemu();
    [[nodiscard]] std::optional<std::string> reopen();
    [[nodiscard]] std::optional<std::string> work_on(Subject& subject, Bytes& content);
    [[nodiscard]] Result<Bytes> content_of_files();
    Status put_files();
    void keep_files(std::string& finding);
    [[nodiscard]] std::uint32_t file_index(const std::string& path) const;

    HandlerEntry entry_;
    BuiltImage& image_;
    const WriteLog& log_;
    SectorModel& model_;
    const CrashOptions& options_;
    CrashReport& report_;
    Replayer replayer_;
    InflatedClusters inflated_;
    std::mt19937_64 random_;
    std::uint32_t disk_;
    std::uint32_t data_;
};

}  // namespace lunkit::qcow_rig
