// SPDX-License-Identifier: Apache-2.0
// The choice of an engine, with the attempt at io_uring as a parameter: a test can let it fail.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "core/engine_queue.hpp"
#include "core/worker_pool.hpp"
#include "lunkit/result.hpp"

namespace lunkit::core {

using UringAttempt = std::function<Result<std::unique_ptr<EngineQueue>>(WorkerPool& pool,
                                                                        std::chrono::microseconds)>;

Result<std::unique_ptr<EngineQueue>> make_queue(EngineChoice engine, WorkerPool& pool,
                                                std::chrono::microseconds spin,
                                                const UringAttempt& make_uring);

}  // namespace lunkit::core
