// SPDX-License-Identifier: Apache-2.0
// ErrorFilter: some requests fail, for tests of what is above: of initiators, file systems,
// multipath. A request that fails does not reach the device below.
//
// With a trigger file requests fail only while there is one of that name: it is looked for by a
// request, on a worker thread, when nobody has for kLookEvery.
#pragma once

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "filters/request_filter.hpp"
#include "filters/surroundings.hpp"
#include "filters/value_text.hpp"

namespace lunkit::filters {

struct ErrorOptions {
    enum class Of : std::uint8_t { kAny, kRead, kWrite, kFlush };  ///< kWrite: every change

    std::uint32_t share = kWhole;  ///< of the requests, in parts of kWhole
    int code = EIO;
    Of of = Of::kAny;
    std::string file = {};  ///< absolute; empty: always
};

class ErrorFilter final : public RequestFilter {
  public:
    static constexpr std::chrono::milliseconds kLookEvery{100};

    /// `seed`: which requests fail.
    ErrorFilter(std::unique_ptr<BlockDevice> below, ErrorOptions options, Surroundings world,
                std::uint64_t seed);

  private:
    Task<Status> admit(Queue& queue, Deed deed, std::uint64_t length) override;
    [[nodiscard]] bool concerns(Deed deed) const;
    Task<bool> is_on(Queue& queue);
    bool draw();

    const ErrorOptions options_;
    const Surroundings world_;
    std::atomic<std::uint64_t> random_;
    std::atomic<bool> is_there_{false};  // the trigger file
    std::atomic<std::int64_t> look_at_{std::numeric_limits<std::int64_t>::min()};  // ns
};

}  // namespace lunkit::filters
