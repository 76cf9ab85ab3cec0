// SPDX-License-Identifier: Apache-2.0
#include "cli/findings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "cli/text_table.hpp"

namespace lunkit::cli {
namespace {

using Findings = std::vector<Finding>;
using Kind = Finding::Kind;

std::string_view name_of(Kind kind) {
    switch (kind) {
        case Kind::kFine:
            return "ok";
        case Kind::kNote:
            return "note";
        case Kind::kTrouble:
            return "TROUBLE";
    }
    return "";
}

}  // namespace

bool has_trouble(const Findings& findings) {
    return std::ranges::find(findings, Kind::kTrouble, &Finding::kind) != findings.end();
}

std::string findings_report(const Findings& findings) {
    std::string text;
    for (const Finding& finding : findings) {
        text += fmt::format("{:<8} {}\n", name_of(finding.kind), printable(finding.what));
        if (!finding.cure.empty()) {
            text += fmt::format("{:<8} -> {}\n", "", printable(finding.cure));
        }
    }
    return text;
}

nlohmann::json findings_json(const Findings& findings) {
    nlohmann::json all = nlohmann::json::array();
    for (const Finding& finding : findings) {
        std::string kind(name_of(finding.kind));
        std::ranges::transform(kind, kind.begin(), [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        });
        all.push_back({{"kind", kind}, {"what", finding.what}, {"cure", finding.cure}});
    }
    return all;
}

}  // namespace lunkit::cli
