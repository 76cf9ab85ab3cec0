// SPDX-License-Identifier: Apache-2.0
#include "core/error_counts.hpp"

#include <fmt/format.h>

#include <cstring>

#include "core/counter.hpp"

namespace lunkit::core {

namespace {

/// SAM-5 5.3.1.
std::string status_text(unsigned status) {
    switch (status) {
        case 0x08:
            return "BUSY";
        case 0x18:
            return "RESERVATION CONFLICT";
        case 0x28:
            return "TASK SET FULL";
        case 0x40:
            return "TASK ABORTED";
        default:
            return fmt::format("status {:02x}h", status);
    }
}

std::string errno_text(int code) {
    const char* const name = ::strerrorname_np(code);
    return name != nullptr ? name : fmt::format("error {}", code);
}

}  // namespace

std::string ErrorKind::text() const {
    switch (packed_ & 0xff000000U) {
        case 0:
            return "";
        case kSense:
            return fmt::format("{:02x}/{:02x}/{:02x}", packed_ >> 16U & 0xfU, packed_ >> 8U & 0xffU,
                               packed_ & 0xffU);
        case kScsiStatus:
            return status_text(packed_ & 0xffU);
        case kSystem:
            return errno_text(static_cast<int>(packed_ & 0xffffU));
        default:
            return "other";
    }
}

void ErrorCounts::add(ErrorKind kind) {
    for (Entry& entry : entries_) {
        const std::uint32_t known = entry.kind.load(std::memory_order_relaxed);
        if (known == kind.packed() || known == 0) {
            count(entry.count);
            if (known == 0) {
                entry.kind.store(kind.packed(), std::memory_order_release);
            }
            return;
        }
    }
    count(other_);
}

void ErrorCounts::tell(std::map<std::string, std::uint64_t>& totals) const {
    for (const Entry& entry : entries_) {
        const std::uint32_t kind = entry.kind.load(std::memory_order_acquire);
        if (kind == 0) {
            break;
        }
        totals[ErrorKind::of_packed(kind).text()] += entry.count.load(std::memory_order_relaxed);
    }
    if (const std::uint64_t other = other_.load(std::memory_order_relaxed); other > 0) {
        totals[ErrorKind::other().text()] += other;
    }
}

}  // namespace lunkit::core
