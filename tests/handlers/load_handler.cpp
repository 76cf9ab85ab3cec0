// SPDX-License-Identifier: Apache-2.0
// Loads one plugin as the daemon does, serves 1 MiB with it, and reads back what it wrote.
// Usage: load_handler PLUGIN
#include <chrono>
#include <cstddef>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "core/engine_queue.hpp"
#include "core/worker_pool.hpp"
#include "host/handler_registry.hpp"
#include "lunkit/io_request.hpp"
#include "lunkit/task.hpp"
#include "lunkit/try.hpp"

namespace {

using lunkit::Status;

lunkit::Task<Status> use(lunkit::Queue& queue, lunkit::BlockDevice& device) {
    std::string written(65536, 'w');
    std::string seen(65536, '?');
    const lunkit::SingleData from(written.data(), written.size());
    const lunkit::SingleData to(seen.data(), seen.size());
    const lunkit::IoRequest write(4096, from, LUNKIT_IO_FUA);
    const lunkit::IoRequest read(4096, to);
    const lunkit::IoRequest zeroes(4096, 512);
    CO_CHECK(co_await device.write(queue, write));
    CO_CHECK(co_await device.flush(queue));
    CO_CHECK(co_await device.write_zeroes(queue, zeroes));
    CO_CHECK(co_await device.read(queue, read));
    if (seen != std::string(512, '\0') + written.substr(512)) {
        co_return lunkit::failure(EIO, "what was read is not what was written");
    }
    co_return Status{};
}

lunkit::Detached start(lunkit::core::EngineQueue& queue, lunkit::BlockDevice& device,
                       Status& status) {
    status = co_await use(queue, device);
    queue.stop();
}

Status serve(const std::string& plugin) {
    lunkit::host::HandlerRegistry registry;
    CHECK(registry.load(plugin));
    const std::string name = registry.list().front().name;
    CHECK(registry.check_config(name + "/disk", false));
    lunkit::host::OpenDevice request;
    request.config = name + "/disk";
    request.name = "disk";
    request.size = 1 << 20;
    TRY(const auto device, registry.open(std::move(request)));
    lunkit::core::WorkerPool pool;
    TRY(const auto queue, lunkit::core::make_queue(lunkit::core::EngineChoice::kAuto, pool,
                                                   std::chrono::microseconds(0)));
    Status status;
    start(*queue, *device, status);
    queue->run();
    return status;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: load_handler PLUGIN\n";
        return 2;
    }
    const Status status = serve(argv[1]);
    if (!status) {
        std::cerr << argv[1] << ": " << status.error().what << " (errno " << status.error().code
                  << ")\n";
        return 1;
    }
    std::cout << argv[1] << " serves\n";
    return 0;
}
