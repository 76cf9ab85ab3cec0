// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace lunkit::core {

/// A first-in first-out line of items that have a member `Item* next`. Owns nothing.
template <typename Item>
class Chain {
  public:
    [[nodiscard]] bool empty() const { return first_ == nullptr; }
    void push(Item* item) {
        item->next = nullptr;
        (last_ != nullptr ? last_->next : first_) = item;
        last_ = item;
    }
    /// The oldest, or nullptr.
    Item* pop() {
        Item* item = first_;
        if (item != nullptr) {
            first_ = item->next;
            if (first_ == nullptr) {
                last_ = nullptr;
            }
        }
        return item;
    }

  private:
    Item* first_ = nullptr;
    Item* last_ = nullptr;
};

}  // namespace lunkit::core
