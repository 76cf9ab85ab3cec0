// SPDX-License-Identifier: Apache-2.0
// Subject: a handler under test, driven through its C table only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "lunkit/handler.h"
#include "lunkit/result.hpp"
#include "rig/recording_host.hpp"

namespace lunkit::qcow_rig {

/// Gives a handler its host and takes its table: a plugin's entry, or a toy's.
using HandlerEntry = const lunkit_handler* (*)(const lunkit_host* host);

/// The entry of a plugin file. It stays loaded.
[[nodiscard]] Result<HandlerEntry> load_plugin(const std::string& path);

enum class Verb : std::uint8_t { kRead, kWrite, kWriteZeroes, kDiscard, kFlush };

class Subject {
  public:
    struct Options {
        std::string config;
        bool read_only = false;
        bool take_over = false;
    };
    /// Opens a device; `host` outlives it.
    static Result<std::unique_ptr<Subject>> open(HandlerEntry entry, RecordingHost& host,
                                                 const Options& options);
    /// Looks at an image that is not open, and frees what has leaked there; `host` as for open().
    static Status repair_leaks(HandlerEntry entry, RecordingHost& host, const std::string& config);
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;
    Subject(Subject&&) = delete;
    Subject& operator=(Subject&&) = delete;
    /// Without close(): as after a kill, the handler's memory is left alone.
    ~Subject() = default;

    void close();
    [[nodiscard]] const lunkit_device_info& info() const { return info_; }
    Status resize(std::uint64_t size);
    [[nodiscard]] bool offers(Verb verb) const;

    /// As the callbacks of handler.h.
    int submit(Verb verb, const lunkit_io& io, lunkit_completion* completion);
    /// Submits, and turns the queue until it has ended. EDEADLK: it waits for nothing.
    Status run(Verb verb, std::uint64_t offset, std::span<std::byte> data, std::uint32_t flags = 0);
    Status run(Verb verb, std::uint64_t offset, std::uint64_t length, std::uint32_t flags = 0);

  private:
    Subject(const lunkit_handler& handler, RecordingHost& host) : handler_(handler), host_(host) {}
    /// On a thread of its own, while this one turns the queue.
    void run_blocking(const std::function<void()>& work);
    Status run(Verb verb, const lunkit_io& io);

    const lunkit_handler& handler_;
    RecordingHost& host_;
    lunkit_device_info info_{};
    void* device_ = nullptr;
};

}  // namespace lunkit::qcow_rig
