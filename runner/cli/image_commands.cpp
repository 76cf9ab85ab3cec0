// SPDX-License-Identifier: Apache-2.0
#include "cli/image_commands.hpp"

#include <chrono>
#include <memory>

#include "core/log.hpp"
#include "core/queue_set.hpp"
#include "host/handler_directory.hpp"
#include "lunkit/try.hpp"

namespace lunkit::cli {

Result<Facts> inspect_storage(const std::string& handler_dir, const std::string& config,
                              host::Inspection how) {
    core::set_log_level(core::LogLevel::kWarning);  // goes to stderr; the answer is on stdout
    host::HandlerRegistry handlers;
    CHECK(handlers.load_directory(host::handler_directory(handler_dir)));
    TRY(const std::unique_ptr<core::QueueSet> queues,
        core::QueueSet::start(core::EngineChoice::kAuto, 1, std::chrono::microseconds(0)));
    return handlers.inspect(config, how, queues->at(0));
}

}  // namespace lunkit::cli
