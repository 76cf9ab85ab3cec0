// SPDX-License-Identifier: Apache-2.0
#include "tcmu/sigbus_guard.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <new>

namespace lunkit::tcmu {

namespace {

// Places live in blocks that are never freed, so that the handler walks them without a lock.
struct Block {
    std::array<SigbusGuard::Place, 64> places;
    std::atomic<Block*> next{nullptr};
};

Block first_block;
std::mutex registry_mutex;
bool installed = false;  // under registry_mutex
struct sigaction previous_action;
std::uintptr_t page_size = 4096;

// From here to handle_sigbus(): async-signal-safe.
SigbusGuard::Place* find_place(std::uintptr_t address) {
    for (Block* block = &first_block; block != nullptr;
         block = block->next.load(std::memory_order_acquire)) {
        for (SigbusGuard::Place& place : block->places) {
            const std::uintptr_t begin = place.begin.load(std::memory_order_acquire);
            if (begin != 0 && address >= begin &&
                address < place.end.load(std::memory_order_relaxed)) {
                return &place;
            }
        }
    }
    return nullptr;
}

bool replace_page(std::uintptr_t address) {
    const std::uintptr_t page = address & ~(page_size - 1);
    const std::int64_t mapped = ::syscall(SYS_mmap, page, page_size, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return mapped == static_cast<std::int64_t>(page);
}

void handle_sigbus(int signal, siginfo_t* info, void* /*context*/) {
    const int saved_errno = errno;
    if (info->si_code > 0) {  // raised by an access, not sent by a process
        const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
        SigbusGuard::Place* place = find_place(address);
        if (place != nullptr && replace_page(address)) {
            place->faulted.store(true, std::memory_order_release);
            errno = saved_errno;
            return;
        }
    }
    // Not ours: the access is repeated, and the former action gets it. One that was sent is not
    // repeated by itself.
    (void)::sigaction(signal, &previous_action, nullptr);
    if (info->si_code <= 0) {
        (void)::raise(signal);
    }
    errno = saved_errno;
}

// Under registry_mutex.
Status install() {
    if (installed) {
        return {};
    }
    page_size = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    struct sigaction action{};
    action.sa_sigaction = handle_sigbus;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    (void)::sigemptyset(&action.sa_mask);
    if (::sigaction(SIGBUS, &action, &previous_action) != 0) {
        return failure(errno, "cannot install a handler for SIGBUS");
    }
    installed = true;
    return {};
}

// Under registry_mutex. Null: no memory.
SigbusGuard::Place* free_place() {
    Block* block = &first_block;
    while (true) {
        for (SigbusGuard::Place& place : block->places) {
            if (!place.taken) {
                return &place;
            }
        }
        Block* next = block->next.load(std::memory_order_relaxed);
        if (next == nullptr) {
            next = new (std::nothrow) Block;
            block->next.store(next, std::memory_order_release);
        }
        if (next == nullptr) {
            return nullptr;
        }
        block = next;
    }
}

}  // namespace

SigbusGuard& SigbusGuard::operator=(SigbusGuard&& other) noexcept {
    if (this != &other) {
        release();
        place_ = std::exchange(other.place_, nullptr);
    }
    return *this;
}

Result<SigbusGuard> SigbusGuard::watch(std::span<std::byte> mapping) {
    const std::lock_guard lock(registry_mutex);
    if (const Status status = install(); !status) {
        return std::unexpected(status.error());
    }
    Place* place = free_place();
    if (place == nullptr) {
        return failure(ENOMEM, "no memory to guard a mapping");
    }
    const auto begin = reinterpret_cast<std::uintptr_t>(mapping.data());
    place->taken = true;
    place->faulted.store(false, std::memory_order_relaxed);
    place->end.store(begin + mapping.size(), std::memory_order_relaxed);
    place->begin.store(begin, std::memory_order_release);
    SigbusGuard guard;
    guard.place_ = place;
    return guard;
}

void SigbusGuard::release() {
    if (place_ != nullptr) {
        const std::lock_guard lock(registry_mutex);
        place_->begin.store(0, std::memory_order_release);
        place_->taken = false;
        place_ = nullptr;
    }
}

}  // namespace lunkit::tcmu
