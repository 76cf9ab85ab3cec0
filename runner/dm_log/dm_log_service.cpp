// SPDX-License-Identifier: Apache-2.0
#include "dm_log/dm_log_service.hpp"

#include <poll.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <utility>

#include "core/posted_call.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_log {

namespace {

using core::LogLevel;

constexpr std::size_t kReceiveRoom = 4096;  // bytes; a request has 550 at most
constexpr std::chrono::milliseconds kPollPause{100};

}  // namespace

DmLogService::DmLogService(core::Runtime& runtime, Surroundings world)
    : runtime_(runtime), world_(std::move(world)), room_(kReceiveRoom) {}

DmLogService::~DmLogService() = default;

Status DmLogService::start() {
    Status begun = begin();
    if (!begun) {
        connector_.reset();  // or the kernel would wait for answers
    }
    return begun;
}

Status DmLogService::begin() {
    // From here on requests wait in the socket; they are looked at when the logs are there again.
    TRY(Connector connector, world_.open_connector());
    connector_.emplace(std::move(connector));
    TRY(std::string boot, boot_id());
    TRY(StateFolder folder, StateFolder::open(runtime_.settings.run_dir, std::move(boot)));
    TRY(std::vector<StateFolder::Found> found, find_logs(folder));
    TRY(queues_, core::QueueSet::start(runtime_.settings.engine, 1, std::chrono::microseconds(0),
                                       {.name = "lunkit-dm-log", .prepare = {}}));
    queue_ = &queues_->assign();
    server_ = std::make_unique<LogServer>(
        *queue_, std::move(folder),
        [this](const Request& request, const Answer& answer) { send(request, answer); });
    core::call_on(*queue_, [this, found = std::move(found)]() mutable {
        server_->restore(std::move(found));
        serve();
    });
    return {};
}

/// Those that a predecessor has left and that are still of a mirror.
Result<std::vector<StateFolder::Found>> DmLogService::find_logs(const StateFolder& folder) {
    TRY(std::vector<StateFolder::Found> found, folder.find_all());
    if (found.empty()) {
        return found;
    }
    const auto uuids = world_.uuids_in_tables();
    if (!uuids) {
        core::log(LogLevel::kWarning, {}, "dm-log: {}; dirty logs of mirrors that are gone stay",
                  uuids.error().what);
        return found;
    }
    std::erase_if(found, [&folder, &uuids](const StateFolder::Found& log) {
        if (uuids->contains(log.identity.uuid)) {
            return false;
        }
        core::log(LogLevel::kInfo, {.device = log.identity.uuid},
                  "the mirror of the dirty log is gone");
        folder.remove(log.identity.luid);
        return true;
    });
    return found;
}

Detached DmLogService::serve() {
    const Gate::Pass pass = serving_.enter();
    while (!stopping_) {
        const Outcome events = co_await Operation([this](lunkit_completion* completion) {
            waiting_ = completion;
            return queue_->submit_poll(connector_->fd(), POLLIN, completion);
        });
        waiting_ = nullptr;
        if (events.ok()) {
            receive_all();
        } else if (!stopping_) {
            (void)co_await queue_->sleep(kPollPause);  // the wait has failed, not the socket
        }
    }
}

void DmLogService::receive_all() {
    std::uint64_t suppressed = 0;
    while (true) {
        const auto datagram = connector_->receive(room_);
        if (datagram) {
            take(*datagram);
        } else if (datagram.error().code == EAGAIN) {
            return;
        } else if (complaints_.admit(&suppressed)) {
            core::log(LogLevel::kWarning, {}, "dm-log: {}; the kernel asks again in 15 s",
                      datagram.error().what);
        }
        if (!datagram && datagram.error().code != ENOBUFS) {
            return;
        }
    }
}

void DmLogService::take(std::span<const std::byte> datagram) {
    Request sender;
    const auto request = parse_request(datagram, &sender);
    if (request) {
        server_->handle(*request);
    } else if (request.error().code == EBADMSG) {
        send(sender, Answer::failed(EINVAL));
    }
}

void DmLogService::send(const Request& request, const Answer& answer) {
    encode_answer(request, answer, datagram_);
    const Status sent = connector_->send(datagram_);
    std::uint64_t suppressed = 0;
    if (!sent && complaints_.admit(&suppressed)) {
        core::log(LogLevel::kWarning, {.device = request.uuid()},
                  "{}; the kernel asks again in 15 s", sent.error().what);
    }
}

void DmLogService::stop(std::function<void(bool clean)> stopped) {
    core::call_on(*queue_,
                  [this, stopped = std::move(stopped)]() mutable { end(std::move(stopped)); });
}

Detached DmLogService::end(std::function<void(bool clean)> stopped) {
    stopping_ = true;
    if (waiting_ != nullptr) {
        queue_->cancel(waiting_);
    }
    (void)co_await serving_.close(*queue_);  // always 0
    connector_->leave();
    receive_all();
    co_await server_->close();
    connector_.reset();
    stopped(true);
}

std::vector<core::DeviceStatus> DmLogService::list() const {
    return server_ ? server_->list() : std::vector<core::DeviceStatus>();
}

void DmLogService::list_regions(const std::string& uuid, Regions done) {
    core::call_on(*queue_,
                  [this, uuid, done = std::move(done)]() mutable { done(server_->regions(uuid)); });
}

std::unique_ptr<core::Service> make_dm_log_service(core::Runtime& runtime) {
    return std::make_unique<DmLogService>(
        runtime, Surroundings{.open_connector = [] { return Connector::open(); },
                              .uuids_in_tables = [] { return uuids_in_tables(); }});
}

}  // namespace lunkit::dm_log
