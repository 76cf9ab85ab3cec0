// SPDX-License-Identifier: Apache-2.0
#include "open_zones.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "lunkit/try.hpp"

namespace lunkit::zbc {

void OpenZones::adopt(std::uint64_t first) {
    writing_.resize(table_.size());
    implicit_.reserve(std::min<std::uint64_t>(max_, table_.size()));
    for (const Opened how : {Opened::kExplicitly, Opened::kImplicitly}) {
        for (std::uint64_t zone = first; zone < table_.size(); ++zone) {
            if (table_[zone].opened != how) {
                continue;
            }
            if (has_room(0)) {
                add(zone, how);
            } else {
                table_.set(zone, table_[zone].written, Opened::kNot);
            }
        }
    }
}

void OpenZones::add(std::uint64_t zone, Opened how) {
    if (how == Opened::kExplicitly) {
        ++explicit_;
    } else if (max_ != 0) {
        implicit_.push_back(static_cast<std::uint32_t>(zone));
    }
}

Task<Status> OpenZones::open_implicitly(Queue& queue, std::uint64_t zone) {
    if (table_[zone].opened != Opened::kNot) {
        co_return Status{};
    }
    std::optional<std::uint64_t> closed;
    while (!has_room(promised_)) {
        if (explicit_ + promised_ >= max_) {
            co_return zone_failure(ETOOMANYREFS);
        }
        closed = close_idle();
        if (closed) {
            break;
        }
        Waiter waiter;
        (void)co_await change(queue, waiter);  // always 0
    }
    add(zone, Opened::kImplicitly);
    table_.set(zone, table_[zone].written, Opened::kImplicitly);
    if (closed) {
        CO_CHECK(co_await table_.store(queue, *closed));
    }
    co_return Status{};
}

Task<Status> OpenZones::open_explicitly(Queue& queue, std::uint64_t zone, Places& places) {
    if (table_[zone].opened == Opened::kImplicitly) {
        leave(zone, table_[zone].written);  // its place is the one that it takes
    }
    std::optional<std::uint64_t> closed;
    while (!has_room(0)) {
        closed = close_idle();
        if (closed) {
            break;
        }
        Waiter waiter;
        (void)co_await change(queue, waiter);  // always 0
    }
    places.take();
    add(zone, Opened::kExplicitly);
    table_.set(zone, table_[zone].written, Opened::kExplicitly);
    CO_CHECK(co_await table_.store(queue, zone));
    if (closed) {
        CO_CHECK(co_await table_.store(queue, *closed));
    }
    co_return Status{};
}

std::optional<std::uint64_t> OpenZones::close_idle() {
    const auto idle = std::ranges::find_if(implicit_, [this](auto it) { return !writing_[it]; });
    if (idle == implicit_.end()) {
        return std::nullopt;
    }
    const std::uint64_t zone = *idle;
    leave(zone, table_[zone].written);
    return zone;
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
    last_waiter_ = nullptr;
    Waiter* waiter = std::exchange(first_waiter_, nullptr);
    while (waiter != nullptr) {
        Waiter* const next = waiter->next;  // once posted, it may be gone
        waiter->queue->post(waiter->completion);
        waiter = next;
    }
}

}  // namespace lunkit::zbc
