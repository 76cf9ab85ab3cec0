// SPDX-License-Identifier: Apache-2.0
// TraceStreams: carries what is traced of devices to those who watch, each over a socket of its
// own. A watcher that is slow loses records; it holds up neither the device nor this loop.
// Loop thread.
#pragma once

#include <array>
#include <cstddef>
#include <list>
#include <memory>

#include "control/glib_handle.hpp"
#include "core/trace.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::control {

class TraceStreams {
  public:
    TraceStreams() = default;
    TraceStreams(const TraceStreams&) = delete;
    TraceStreams& operator=(const TraceStreams&) = delete;
    TraceStreams(TraceStreams&&) = delete;
    TraceStreams& operator=(TraceStreams&&) = delete;
    ~TraceStreams();

    /// Begins to trace; gives the watcher's end, from which each recv() gets some whole
    /// core::TraceRecords; one that is no command says what was lost at the end. It ends when the
    /// watcher closes that, or, for the watcher, when the device goes, or when it has shut down its
    /// sending direction and has got what was there then. EBUSY: it is being traced.
    Result<UniqueFd> open(std::shared_ptr<core::TraceTap> tap);

  private:
    static constexpr std::size_t kAtOnce = 64;  // records in a message
    struct Stream {
        std::shared_ptr<core::TraceTap> tap;
        UniqueFd socket;
        // Taken and not sent yet.
        std::array<core::TraceRecord, kAtOnce> waiting{};
        std::size_t count = 0;
    };
    // Whether it goes on.
    static bool has_watcher(Stream& stream);
    static bool carry(Stream& stream);
    static bool carry_what_is_there(Stream& stream, bool is_last);
    void keep_those(bool (*goes_on)(Stream&));
    void carry_all();

    std::list<Stream> streams_;
    LoopTimer timer_;
};

}  // namespace lunkit::control
