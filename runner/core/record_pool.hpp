// SPDX-License-Identifier: Apache-2.0
// RecordPool: records of operations in flight. Grows in blocks when more are in flight than ever
// before, never shrinks, so that the steady state allocates nothing. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace lunkit::core {

/// Record is default-constructible, assignable and has a member `Record* next`.
template <typename Record>
class RecordPool {
  public:
    /// A record in its default state.
    Record* take() {
        if (free_ == nullptr) {
            grow();
        }
        Record* record = free_;
        free_ = record->next;
        *record = Record{};
        return record;
    }
    void give_back(Record* record) {
        record->next = free_;
        free_ = record;
    }

  private:
    static constexpr std::size_t kBlock = 64;  // records

    void grow() {
        blocks_.push_back(std::make_unique<std::array<Record, kBlock>>());
        for (Record& record : *blocks_.back()) {
            give_back(&record);
        }
    }

    std::vector<std::unique_ptr<std::array<Record, kBlock>>> blocks_;
    Record* free_ = nullptr;
};

}  // namespace lunkit::core
