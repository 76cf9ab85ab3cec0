// SPDX-License-Identifier: Apache-2.0
// LogServer: the logs that the kernel has constructed, and an answer to each of its requests; all
// but the socket. On a queue's thread, unless a member says otherwise.
//
// The life of a log, which the kernel names by uuid and luid:
//
//   CTR      at the load of a table. The memory is taken, a disk log opened: what is wrong shows
//            here, to who loads the table. Once more (with a NUL behind the arguments) when the
//            kernel has found no daemon: a log that is known is left as it is.
//   RESUME   at its first, the bits begin: with those of the log that has the same uuid and was
//            just suspended (a table replaces another), else with those on disk, else as the
//            arguments say. From then on the state folder has them.
//   DTR      the end. None comes for a log that goes while no daemon is there.
//
// A log of which nothing is known but that the kernel knows it, begins with what is on its disk:
// all that the kernel was told is stored has got there. Without a disk all regions are out of sync,
// where anything else may lose a write on one leg. The kernel, once it has seen a mirror in sync,
// copies nothing of it before another table is loaded: until then such a log is shown as failed.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/engine_queue.hpp"
#include "core/service.hpp"
#include "dm_log/dirty_log.hpp"
#include "dm_log/disk_store.hpp"
#include "dm_log/log_arguments.hpp"
#include "dm_log/request.hpp"
#include "dm_log/state_folder.hpp"
#include "lunkit/gate.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit::dm_log {

class LogServer {
  public:
    /// Sends an answer; called once for each request, on the queue's thread.
    using Reply = std::function<void(const Request& request, const Answer& answer)>;

    /// `queue` outlives it.
    LogServer(core::EngineQueue& queue, StateFolder folder, Reply reply);
    LogServer(const LogServer&) = delete;
    LogServer& operator=(const LogServer&) = delete;
    LogServer(LogServer&&) = delete;
    LogServer& operator=(LogServer&&) = delete;
    ~LogServer();

    /// Goes on with the logs that a predecessor has left. Before the first request.
    void restore(std::vector<StateFolder::Found> found);
    /// Answers at once, or when what must be durable is.
    void handle(const Request& request);
    /// Ends what is under way. Requests that could not be answered are the next daemon's: the
    /// kernel asks again.
    Task<void> close();

    /// Any thread.
    [[nodiscard]] std::vector<core::DeviceStatus> list() const;
    /// See core::Service::list_regions(). Of several logs of the uuid, the one that is used.
    [[nodiscard]] Result<std::vector<core::RegionRun>> regions(std::string_view uuid) const;

  private:
    struct ServedLog;
    using Entry = std::shared_ptr<ServedLog>;

    [[nodiscard]] Entry find(const Request& request) const;
    /// A CTR whose log is being opened.
    struct Construction {
        Request request;                        // the last of its kind: who made it waits
        lunkit_completion* patience = nullptr;  // until it is refused
        bool is_over = false;
    };
    using Work = std::shared_ptr<Construction>;

    void construct(const Request& request);
    Detached construct(Work work, Entry made, Entry before);
    Detached give_up_later(Work work);
    void end(const Work& work);
    [[nodiscard]] std::unique_ptr<DiskStore> make_store(const LogArguments& arguments) const;
    [[nodiscard]] Result<Entry> make(LogIdentity identity, const LogArguments& arguments);
    Task<Status> open_store(Entry log);
    [[nodiscard]] Status check_unshared(const ServedLog& log) const;
    void keep(const Entry& log);
    void forget(const Entry& log);

    Detached resume(Entry log, Request request);
    Task<void> begin(Entry log);
    void publish(ServedLog& log) const;
    [[nodiscard]] Entry predecessor_of(const ServedLog& log) const;
    [[nodiscard]] bool had_other_regions(const ServedLog& log) const;
    /// Another log of it, whose bits are known.
    static bool is_of_same_device(const ServedLog& one, const ServedLog& log);
    [[nodiscard]] bool is_surely_used(const ServedLog& log) const;
    Detached reopen(Entry log);
    Detached store_and_answer(Entry log, Request request);
    Task<Status> store(Entry log);
    Detached try_again(Entry log);
    void answer_known(const Entry& log, const Request& request);
    void report(ServedLog& log, const Status& stored);

    void answer(const Entry& log, const Request& request, const Answer& said);
    void refuse(const Request& request, const Error& error);

    core::EngineQueue& queue_;
    const StateFolder folder_;
    const Reply reply_;
    Gate gate_;
    bool closing_ = false;
    std::map<std::uint64_t, Work> constructions_;  // by luid

    mutable std::mutex mutex_;
    std::map<std::uint64_t, Entry> logs_;  // by luid; changed under mutex_, on the queue's thread
};

}  // namespace lunkit::dm_log
