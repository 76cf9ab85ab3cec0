// SPDX-License-Identifier: Apache-2.0
#include "core/timer_heap.hpp"

#include <cstddef>

namespace lunkit::core {

TimerHeap::Timer* TimerHeap::add(TimePoint due, lunkit_completion* completion) {
    Timer* timer = records_.take();
    timer->due = due;
    timer->number = added_++;
    timer->completion = completion;
    heap_.push_back(timer);
    timer->place = heap_.size() - 1;
    sift_up(timer->place);
    return timer;
}

lunkit_completion* TimerHeap::remove(Timer* timer) {
    lunkit_completion* completion = timer->completion;
    const std::size_t place = timer->place;
    Timer* last = heap_.back();
    heap_.pop_back();
    if (last != timer) {
        put(last, place);
        sift_up(place);
        sift_down(last->place);
    }
    records_.give_back(timer);
    return completion;
}

lunkit_completion* TimerHeap::pop_due(TimePoint now) {
    if (heap_.empty() || heap_.front()->due > now) {
        return nullptr;
    }
    return remove(heap_.front());
}

void TimerHeap::put(Timer* timer, std::size_t place) {
    heap_[place] = timer;
    timer->place = place;
}

void TimerHeap::sift_up(std::size_t place) {
    Timer* timer = heap_[place];
    while (place > 0) {
        const std::size_t parent = (place - 1) / 2;
        if (!earlier(*timer, *heap_[parent])) {
            break;
        }
        put(heap_[parent], place);
        place = parent;
    }
    put(timer, place);
}

void TimerHeap::sift_down(std::size_t place) {
    Timer* timer = heap_[place];
    for (std::size_t child = 2 * place + 1; child < heap_.size(); child = 2 * place + 1) {
        if (child + 1 < heap_.size() && earlier(*heap_[child + 1], *heap_[child])) {
            ++child;
        }
        if (!earlier(*heap_[child], *timer)) {
            break;
        }
        put(heap_[child], place);
        place = child;
    }
    put(timer, place);
}

}  // namespace lunkit::core
