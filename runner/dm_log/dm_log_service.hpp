// SPDX-License-Identifier: Apache-2.0
// DmLogService: the server of device-mapper's dirty logs (`mirror userspace ...` tables).
//
// It has a queue of its own, whose thread keeps CAP_SYS_ADMIN and never waits for storage: it may
// be answering for a mirror that carries our own files, and a request that is not answered stops
// its mirror. While no table asks for it that thread sleeps.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.hpp"
#include "core/queue_set.hpp"
#include "core/service.hpp"
#include "dm_log/connector.hpp"
#include "dm_log/log_server.hpp"
#include "dm_log/mapped_tables.hpp"
#include "dm_log/state_folder.hpp"
#include "lunkit/gate.hpp"
#include "lunkit/handler.h"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit::dm_log {

/// What the service needs of the kernel; a test has its own.
struct Surroundings {
    std::function<Result<Connector>()> open_connector;
    std::function<Result<LogUuids>()> uuids_in_tables;
};

class DmLogService final : public core::Service {
  public:
    /// What `runtime` refers to outlives it.
    DmLogService(core::Runtime& runtime, Surroundings world);
    DmLogService(const DmLogService&) = delete;
    DmLogService& operator=(const DmLogService&) = delete;
    DmLogService(DmLogService&&) = delete;
    DmLogService& operator=(DmLogService&&) = delete;
    ~DmLogService() override;

    [[nodiscard]] std::string_view name() const override { return "dm-log"; }
    Status start() override;
    /// The kernel keeps its logs, and repeats to the next daemon what was not answered.
    void stop(std::function<void(bool clean)> stopped) override;
    /// Files of the other front ends may lie on mirrors, which wait for answers.
    [[nodiscard]] bool stops_last() const override { return true; }
    [[nodiscard]] std::vector<core::DeviceStatus> list() const override;
    void list_regions(const std::string& uuid, Regions done) override;

  private:
    Status begin();
    [[nodiscard]] Result<std::vector<StateFolder::Found>> find_logs(const StateFolder& folder);
    Detached serve();
    Detached end(std::function<void(bool clean)> stopped);
    void receive_all();
    void take(std::span<const std::byte> datagram);
    void send(const Request& request, const Answer& answer);

    core::Runtime& runtime_;
    const Surroundings world_;
    std::optional<Connector> connector_;
    std::unique_ptr<LogServer> server_;
    std::unique_ptr<core::QueueSet> queues_;  // goes before what its thread uses

    // On the queue's thread.
    core::EngineQueue* queue_ = nullptr;
    Gate serving_;
    bool stopping_ = false;
    lunkit_completion* waiting_ = nullptr;  // for a request
    std::vector<std::byte> room_;
    std::vector<std::byte> datagram_;  // the last answer
    core::LogLimit complaints_;
};

/// The real one.
[[nodiscard]] std::unique_ptr<core::Service> make_dm_log_service(core::Runtime& runtime);

}  // namespace lunkit::dm_log
