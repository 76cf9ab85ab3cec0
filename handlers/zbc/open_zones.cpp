// SPDX-License-Identifier: Apache-2.0
#include "open_zones.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "lunkit/try.hpp"

namespace lunkit::zbc {

void OpenZones::adopt() {
    writing_.resize(table_.size());
    implicit_.reserve(std::min<std::uint64_t>(max_, table_.size()));
    for (std::uint64_t zone = 0; zone < table_.size(); ++zone) {
        const Opened opened = table_[zone].opened;
        if (opened == Opened::kNot) {
            continue;
        }
        if (!is_room()) {
            table_.set(zone, table_[zone].written, Opened::kNot);
        } else if (opened == Opened::kExplicitly) {
            ++explicit_;
        } else if (max_ != 0) {
            implicit_.push_back(static_cast<std::uint32_t>(zone));
        }
    }
}

Task<Status> OpenZones::open(Queue& queue, std::uint64_t zone, Opened how) {
    const Record now = table_[zone];
    if (now.opened == how || now.opened == Opened::kExplicitly) {
        co_return Status{};
    }
    std::optional<std::uint64_t> closed;
    if (now.opened == Opened::kImplicitly) {
        std::erase(implicit_, zone);
    }
    while (!is_room()) {
        if (explicit_ >= max_) {
            co_return zone_failure(ETOOMANYREFS);
        }
        const auto idle =
            std::ranges::find_if(implicit_, [this](auto it) { return !writing_[it]; });
        if (idle != implicit_.end()) {
            closed = *idle;
            leave(*closed, table_[*closed].written);
            break;
        }
        Waiter waiter;
        (void)co_await change(queue, waiter);  // always 0
    }
    if (how == Opened::kExplicitly) {
        ++explicit_;
    } else if (max_ != 0) {
        implicit_.push_back(static_cast<std::uint32_t>(zone));
    }
    table_.set(zone, now.written, how);
    if (closed) {
        CO_CHECK(co_await table_.store(queue, *closed));
    }
    co_return Status{};
}

void OpenZones::leave(std::uint64_t zone, std::uint64_t written) {
    switch (table_[zone].opened) {
        case Opened::kNot:
            break;
        case Opened::kImplicitly:
            std::erase(implicit_, zone);
            break;
        case Opened::kExplicitly:
            --explicit_;
            break;
    }
    table_.set(zone, written, Opened::kNot);
    wake();
}

void OpenZones::wake() {
    Waiter* waiter = std::exchange(waiters_, nullptr);
    while (waiter != nullptr) {
        Waiter* const next = waiter->next;  // once posted, it may be gone
        waiter->queue->post(waiter->completion);
        waiter = next;
    }
}

}  // namespace lunkit::zbc
