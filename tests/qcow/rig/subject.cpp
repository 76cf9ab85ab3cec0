// SPDX-License-Identifier: Apache-2.0
#include "rig/subject.hpp"

#include <dlfcn.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "lunkit/io_request.hpp"

namespace lunkit::qcow_rig {

Result<HandlerEntry> load_plugin(const std::string& path) {
    void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): glibc keeps the message per thread
        return failure(ENOENT, ::dlerror());
    }
    const auto entry = reinterpret_cast<HandlerEntry>(::dlsym(library, "lunkit_handler_entry"));
    if (entry == nullptr) {
        return failure(ENOEXEC, path + " exports no lunkit_handler_entry");
    }
    return entry;
}

Result<std::unique_ptr<Subject>> Subject::open(HandlerEntry entry, RecordingHost& host,
                                               const Options& options) {
    const lunkit_handler* const handler = entry(&RecordingHost::table());
    if (handler == nullptr) {
        return failure(ENOEXEC, "the handler gives no table");
    }
    std::unique_ptr<Subject> subject(new Subject(*handler, host));
    std::array<char, 1024> error{};
    subject->info_.struct_size = sizeof subject->info_;
    lunkit_open request{};
    request.struct_size = sizeof request;
    request.flags = (options.read_only ? LUNKIT_OPEN_READ_ONLY : 0U) |
                    (options.take_over ? LUNKIT_OPEN_TAKE_OVER : 0U);
    request.config = options.config.c_str();
    request.name = "rig";
    request.block_size = kSector;
    request.host = &RecordingHost::table();
    request.info = &subject->info_;
    request.error = error.data();
    request.error_size = error.size();
    int status = 0;
    subject->run_blocking([&] { status = handler->open(&request, &subject->device_); });
    if (status < 0) {
        return failure(-status, error.data());
    }
    return subject;
}

Status Subject::repair_leaks(HandlerEntry entry, RecordingHost& host, const std::string& config) {
    const lunkit_handler* const handler = entry(&RecordingHost::table());
    if (handler == nullptr || handler->inspect == nullptr) {
        return failure(EOPNOTSUPP, "the handler looks at no image");
    }
    std::array<char, 1024> error{};
    lunkit_inspect request{};
    request.struct_size = sizeof request;
    request.flags = LUNKIT_INSPECT_VERIFY | LUNKIT_INSPECT_REPAIR_LEAKS;
    request.config = config.c_str();
    request.host = &RecordingHost::table();
    request.queue = host.queue().handle();
    request.tell = [](void*, const lunkit_fact*) {};
    request.error = error.data();
    request.error_size = error.size();
    int status = 0;
    Subject subject(*handler, host);
    subject.run_blocking([&] { status = handler->inspect(&request); });
    return status < 0 ? Status(failure(-status, error.data())) : Status();
}

void Subject::run_blocking(const std::function<void()>& work) {
    std::mutex mutex;
    std::condition_variable changed;
    bool ended = false;
    std::thread worker([&] {
        work();
        const std::lock_guard lock(mutex);
        ended = true;
        changed.notify_one();
    });
    std::unique_lock lock(mutex);
    while (!ended) {
        lock.unlock();
        const bool moved = host_.queue().step();
        lock.lock();
        if (!moved && !ended) {
            // The worker is computing, or is about to submit something.
            changed.wait_for(lock, std::chrono::microseconds(50));
        }
    }
    lock.unlock();
    worker.join();
}

void Subject::close() {
    if (device_ != nullptr) {
        run_blocking([this] { handler_.close(std::exchange(device_, nullptr)); });
    }
    while (host_.queue().step()) {
    }
}

Status Subject::resize(std::uint64_t size) {
    if (handler_.resize == nullptr) {
        return failure(EOPNOTSUPP);
    }
    std::array<char, 512> error{};
    int status = 0;
    run_blocking(
        [&] { status = handler_.resize(device_, size, &info_, error.data(), error.size()); });
    return status < 0 ? Status(failure(-status, error.data())) : Status();
}

bool Subject::offers(Verb verb) const {
    if (verb == Verb::kDiscard) {
        return handler_.discard != nullptr && (info_.flags & LUNKIT_DEVICE_NO_DISCARD) == 0;
    }
    return verb != Verb::kWriteZeroes || handler_.write_zeroes != nullptr;
}

int Subject::submit(Verb verb, const lunkit_io& io, lunkit_completion* completion) {
    completion->error_offset = LUNKIT_NO_OFFSET;
    completion->error_class = LUNKIT_ERROR_UNSPECIFIED;
    lunkit_queue* const queue = host_.queue().handle();
    switch (verb) {
        case Verb::kRead:
            return handler_.read(device_, queue, &io, completion);
        case Verb::kWrite:
            return handler_.write(device_, queue, &io, completion);
        case Verb::kWriteZeroes:
            return handler_.write_zeroes(device_, queue, &io, completion);
        case Verb::kDiscard:
            return handler_.discard(device_, queue, &io, completion);
        default:
            return handler_.flush(device_, queue, &io, completion);
    }
}

Status Subject::run(Verb verb, const lunkit_io& io) {
    struct Waiting : lunkit_completion {
        bool ended = false;
    };
    Waiting waiting;
    waiting.done = [](lunkit_completion* completion) {
        static_cast<Waiting*>(completion)->ended = true;
    };
    const int status = submit(verb, io, &waiting);
    if (status < 0) {
        return failure(-status);
    }
    while (status == LUNKIT_PENDING && !waiting.ended) {
        if (!host_.queue().step()) {
            return failure(EDEADLK, "the request waits, and nothing is left that could end it");
        }
    }
    return waiting.result < 0 ? Status(failure(static_cast<int>(-waiting.result))) : Status();
}

Status Subject::run(Verb verb, std::uint64_t offset, std::span<std::byte> data,
                    std::uint32_t flags) {
    const SingleData single(data);
    const IoRequest io(offset, single, flags);
    return run(verb, io);
}

Status Subject::run(Verb verb, std::uint64_t offset, std::uint64_t length, std::uint32_t flags) {
    const IoRequest io(offset, length, flags);
    return run(verb, io);
}

}  // namespace lunkit::qcow_rig
