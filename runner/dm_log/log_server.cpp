// SPDX-License-Identifier: Apache-2.0
#include "dm_log/log_server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <utility>

#include "core/log.hpp"
#include "dm_log/answers.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_log {

namespace {

using abi::RequestType;
using core::LogLevel;

constexpr std::chrono::seconds kStorePause{1};     // between two attempts
constexpr std::chrono::seconds kOpenPatience{12};  // the kernel gives a request up after 15 s
constexpr unsigned kOpenAttempts = 60;  // of a log that a restart has not found in its place yet
constexpr std::uint64_t kSectorBytes = 512;
constexpr std::size_t kMostRuns = 65536;  // what a mirror may wait for, and a D-Bus message hold
// The kernel never copies what a log says is out of sync that it has seen in sync, and reads the
// leg that misses writes when the other fails; only a new table makes it forget.
constexpr const char* kLostAdvice =
    "regions are out of sync since what was known of them was lost: load its table again "
    "(dmsetup table DEVICE | dmsetup load DEVICE, then suspend and resume it), the leg that is to "
    "be copied first: one that dmsetup status shows as A";

}  // namespace

/// What list() tells is atomic, or under the server's mutex.
struct LogServer::ServedLog {
    ServedLog(LogIdentity who, LogArguments what, LogMemory where)
        : identity(std::move(who)),
          arguments(std::move(what)),
          memory(std::move(where)),
          bits(arguments.regions(), memory.words()) {}

    const LogIdentity identity;
    const LogArguments arguments;
    LogMemory memory;
    DirtyLog bits;
    std::unique_ptr<DiskStore> store;  // kDisk
    std::vector<Request> blocked;      // wait until the log is stored
    bool reconstructed = false;        // the kernel has used it before, and its bits were lost here
    bool suspended = false;            // by a POSTSUSPEND that this process has heard
    bool is_tried_again = false;       // to be stored
    unsigned attempts = 0;             // since it was stored last
    /// The file may come back in a moment: a link of udev's, a predecessor's transfer, a
    /// descriptor. With handle_errors the kernel takes one failed FLUSH for the end of the log.
    [[nodiscard]] bool may_yet_open() const {
        return store->file() == nullptr && attempts < kOpenAttempts;
    }

    std::optional<Error> failed;    // under the mutex: the log cannot be stored
    std::atomic<bool> lost{false};  // and regions are out of sync for that
    std::atomic<core::DeviceState> state{core::DeviceState::kOpening};
    std::atomic<std::uint64_t> in_sync{0};
    std::atomic<std::uint64_t> dirty{0};
    std::atomic<std::uint64_t> requests{0};
    std::atomic<std::uint64_t> errors{0};

    void tell() {
        in_sync.store(bits.sync_count(), std::memory_order_relaxed);
        dirty.store(bits.has_begun() ? bits.regions() - bits.clean_count() : bits.regions(),
                    std::memory_order_relaxed);
        if (memory.has(StateFolder::kLost) && bits.has_begun() &&
            bits.sync_count() == bits.regions()) {
            memory.clear(StateFolder::kLost);  // what is out of sync later is for another reason
        }
        lost.store(memory.has(StateFolder::kLost) && bits.has_begun(), std::memory_order_relaxed);
        if (bits.has_begun()) {
            state.store(core::DeviceState::kRunning, std::memory_order_relaxed);
        }
    }
    [[nodiscard]] std::string status_text() const {
        if (!store) {
            return "1 core";
        }
        const LogFile* const file = store->file();
        return fmt::format("3 disk {} {}", file != nullptr ? file->device_number() : "0:0",
                           failed ? 'D' : 'A');
    }
    /// The arguments without the length of the device.
    [[nodiscard]] std::string table_text() const {
        return identity.arguments.substr(identity.arguments.find(' ') + 1);
    }
};

LogServer::LogServer(core::EngineQueue& queue, StateFolder folder, Reply reply)
    : queue_(queue), folder_(std::move(folder)), reply_(std::move(reply)) {}

LogServer::~LogServer() = default;

void LogServer::restore(std::vector<StateFolder::Found> found) {
    for (StateFolder::Found& one : found) {
        const auto arguments = parse_log_arguments(one.identity.arguments);
        if (!arguments) {
            continue;  // find_all() gives none of that kind
        }
        const auto log =
            std::make_shared<ServedLog>(std::move(one.identity), *arguments, std::move(one.memory));
        log->bits.adopt();
        log->tell();
        core::log(LogLevel::kInfo, {.device = log->identity.uuid},
                  "going on with the dirty log: {} of {} regions in sync", log->bits.sync_count(),
                  log->bits.regions());
        log->store = make_store(*arguments);
        const std::lock_guard lock(mutex_);
        logs_[log->identity.luid] = log;
    }
    for (const auto& [luid, log] : logs_) {
        if (log->store) {
            reopen(log);
        }
    }
}

/// FLUSH would open it as well; here whoever looks at the log learns of trouble. A predecessor that
/// has not lived to store what the log began with leaves that to us.
Detached LogServer::reopen(Entry log) {
    const Gate::Pass pass = gate_.enter();
    if (!log->memory.has(StateFolder::kStored) && is_surely_used(*log)) {
        (void)co_await store(log);  // has told of it
        co_return;
    }
    const Status status = co_await log->store->open();
    report(*log, status);
    if (!status) {
        try_again(log);
    }
}

/// Of two logs of one device, in one file, the kernel uses one; which, its next request tells. The
/// other is of a table that was replaced while no daemon ran.
bool LogServer::is_surely_used(const ServedLog& log) const {
    return !log.blocked.empty() || std::ranges::none_of(logs_, [&log](const auto& known) {
        return is_of_same_device(*known.second, log);
    });
}

LogServer::Entry LogServer::find(const Request& request) const {
    const auto found = logs_.find(request.luid());
    return found != logs_.end() && found->second->identity.uuid == request.uuid() ? found->second
                                                                                  : nullptr;
}

void LogServer::handle(const Request& request) {
    if (request.type() == RequestType::kCtr) {
        construct(request);
        return;
    }
    if (const Entry log = find(request)) {
        answer_known(log, request);
    } else {
        reply_(request, unknown_log(request));
    }
}

void LogServer::answer(const Entry& log, const Request& request, const Answer& said) {
    log->requests.fetch_add(1, std::memory_order_relaxed);
    if (said.error() != 0) {
        log->errors.fetch_add(1, std::memory_order_relaxed);
    }
    log->tell();
    reply_(request, said);
}

void LogServer::answer_known(const Entry& log, const Request& request) {
    const auto type = request.type();
    if ((type == RequestType::kDtr || type == RequestType::kResume) && request.data().empty()) {
        if (type == RequestType::kDtr) {
            forget(log);
            answer(log, request, {});
        } else {
            resume(log, request);
        }
        return;
    }
    const bool had_begun = log->bits.has_begun();
    const std::string status = type == RequestType::kStatusInfo ? log->status_text() : "";
    const std::string table = type == RequestType::kStatusTable ? log->table_text() : "";
    const Answer said = answer_for(log->bits, log->arguments, {status, table}, request);
    if (!had_begun && log->bits.has_begun()) {
        publish(*log);
    }
    const bool is_postsuspend = type == RequestType::kPostsuspend;
    if (said.error() == 0 && is_postsuspend) {
        log->suspended = true;
    }
    // A MARK too: if this process dies before the FLUSH, the kernel makes that one again, but not
    // the MARK, and who has lost the state folder as well knows only what is on the disk.
    const bool must_be_stored =
        is_postsuspend || type == RequestType::kFlush || type == RequestType::kMarkRegion;
    if (said.error() == 0 && log->store && must_be_stored) {
        store_and_answer(log, request);
        return;
    }
    answer(log, request, said);
}

// CTR.

void LogServer::refuse(const Request& request, const Error& error) {
    core::log(LogLevel::kError, {.device = request.uuid()}, "no dirty log is made: {}", error.what);
    // These two mean to the kernel that it shall ask again.
    const bool is_taken = error.code == ESRCH || error.code == EAGAIN;
    reply_(request, Answer::failed(is_taken ? EIO : error.code));
}

void LogServer::construct(const Request& request) {
    std::string_view text = request.text();
    const bool is_repeated = text.ends_with('\0');
    if (is_repeated) {
        text.remove_suffix(1);
    }
    const Entry before = find(request);
    if (before && is_repeated && before->identity.arguments == text) {
        answer(before, request, {});
        return;
    }
    const auto begun = constructions_.find(request.luid());
    if (begun != constructions_.end() && begun->second->request.uuid() == request.uuid() &&
        begun->second->request.text() == request.text()) {
        begun->second->request = request;  // in place of one that has waited for 15 s
        return;
    }
    if (request.head.version == 0 || request.head.version > abi::kNewestVersion) {
        refuse(request, {.code = EPROTO,
                         .what = fmt::format("the kernel's requests have version {}, and {} is "
                                             "the newest known here",
                                             request.head.version, abi::kNewestVersion)});
        return;
    }
    const auto arguments = parse_log_arguments(text);
    if (!arguments) {
        refuse(request, arguments.error());
        return;
    }
    auto made = make({request.luid(), std::string(request.uuid()), std::string(text)}, *arguments);
    if (!made) {
        refuse(request, made.error());
        return;
    }
    (*made)->reconstructed = is_repeated;
    const auto work = std::make_shared<Construction>();
    work->request = request;
    if ((*made)->store) {
        constructions_[request.luid()] = work;
        // A kernel that has used the log before makes no end of asking, and has nothing to fail.
        if (!is_repeated) {
            give_up_later(work);
        }
    }
    construct(work, *made, before);
}

/// A path that leads to nowhere (a server of files that is gone) must not keep the load of a table
/// for ever.
Detached LogServer::give_up_later(Work work) {
    const Gate::Pass pass = gate_.enter();
    const Outcome waited = co_await Operation([&](lunkit_completion* completion) {
        work->patience = completion;
        return queue_.submit_timer(
            static_cast<std::uint64_t>(std::chrono::nanoseconds(kOpenPatience).count()),
            completion);
    });
    work->patience = nullptr;
    if (waited.ok() && !work->is_over) {
        end(work);
        refuse(work->request, {.code = ETIMEDOUT, .what = "its log cannot be opened in time"});
    }
}

void LogServer::end(const Work& work) {
    work->is_over = true;
    if (work->patience != nullptr) {
        queue_.cancel(work->patience);
    }
    const auto begun = constructions_.find(work->request.luid());
    if (begun != constructions_.end() && begun->second == work) {
        constructions_.erase(begun);
    }
}

Result<LogServer::Entry> LogServer::make(LogIdentity identity, const LogArguments& arguments) {
    TRY(LogMemory memory, folder_.make(identity, arguments.regions()));
    auto log = std::make_shared<ServedLog>(std::move(identity), arguments, std::move(memory));
    log->store = make_store(arguments);
    return log;
}

/// None for a log that is not on disk.
std::unique_ptr<DiskStore> LogServer::make_store(const LogArguments& arguments) const {
    if (arguments.kind != LogKind::kDisk) {
        return nullptr;
    }
    return std::make_unique<DiskStore>(queue_, arguments.path, arguments.regions());
}

Detached LogServer::construct(Work work, Entry made, Entry before) {
    const Gate::Pass pass = gate_.enter();
    Status opened;
    if (made->store) {
        opened = co_await open_store(made);
    }
    if (work->is_over) {
        co_return;  // its table is refused
    }
    end(work);
    const Request& request = work->request;
    if (!opened) {
        refuse(request, opened.error());
        co_return;
    }
    // Now, when nothing else happens before it is known to others.
    if (const Status alone = made->store ? check_unshared(*made) : Status(); !alone) {
        refuse(request, alone.error());
        co_return;
    }
    // While the disk was slow the kernel may have asked again, and got on with what that made.
    const Entry now = find(request);
    const bool is_overtaken = now && now != before;
    if (!is_overtaken) {
        if (made->reconstructed) {
            made->memory.set(StateFolder::kLost);
        }
        keep(made);
    }
    // For dm to claim; the second time the kernel has no room for it.
    const LogFile* const file = made->store ? made->store->file() : nullptr;
    const bool names_device = file != nullptr && file->is_block_device && !made->reconstructed &&
                              request.head.version >= abi::kDeviceInReplyVersion;
    answer(is_overtaken ? now : made, request,
           names_device ? Answer::text(file->device_number()) : Answer());
}

Task<Status> LogServer::open_store(Entry log) {
    CO_CHECK(co_await log->store->open());
    // Only to see that it can be read, and is not of a version that must not be written over.
    CO_CHECK(co_await log->store->load());
    co_return Status();
}

/// Two mirrors must not write into one log; the tables of one device, which has one uuid, do.
Status LogServer::check_unshared(const ServedLog& log) const {
    for (const auto& [luid, other] : logs_) {
        const LogFile* const file = other->store ? other->store->file() : nullptr;
        if (file != nullptr && file->identity == log.store->file()->identity &&
            other->identity.uuid != log.identity.uuid) {
            return failure(EBUSY, fmt::format("{} is the log of '{}'", log.store->path(),
                                              other->identity.uuid));
        }
    }
    return {};
}

/// From now on the log is known. One that had its luid is gone in the kernel.
void LogServer::keep(const Entry& log) {
    folder_.remove(log->identity.luid);
    const std::lock_guard lock(mutex_);
    logs_[log->identity.luid] = log;
}

void LogServer::forget(const Entry& log) {
    folder_.remove(log->identity.luid);
    const std::lock_guard lock(mutex_);
    logs_.erase(log->identity.luid);
}

// RESUME.

Detached LogServer::resume(Entry log, Request request) {
    const Gate::Pass pass = gate_.enter();
    if (!log->bits.has_begun()) {
        co_await begin(log);
        if (log->reconstructed) {
            log->tell();
            core::log(LogLevel::kWarning, {.device = log->identity.uuid},
                      "the kernel goes on with a dirty log that is unknown here: {}",
                      log->lost ? kLostAdvice : "it goes on with what is on its disk");
        }
    } else if (log->suspended) {
        log->bits.resume();
    }
    log->suspended = false;
    if (log->store) {
        // Before the answer: what is out of sync is written without a word to us, and the disk may
        // still say of it, since the time before, that it is clean.
        (void)co_await store(log);  // has told of it
    }
    // That the disk has failed is for the next FLUSH to say. From here the kernel, after a second
    // CTR, would take it for a no to the IN_SYNC that it came for, and write one leg only.
    answer(log, request, {});
}

/// The bits, then the state folder. Errors are logged.
Task<void> LogServer::begin(Entry log) {
    const bool is_fresh = log->arguments.start == Start::kSync;
    const bool begins_clean = log->arguments.start == Start::kNosync && !log->reconstructed;
    const Entry predecessor = predecessor_of(*log);
    if (predecessor) {
        // When the device has grown, its last region may have been a part of one.
        const LogArguments& old = predecessor->arguments;
        const std::uint64_t known = log->arguments.device_sectors > old.device_sectors
                                        ? old.device_sectors / old.region_size
                                        : old.regions();
        log->bits.begin(predecessor->bits.clean_words(), known, begins_clean);
    } else if (had_other_regions(*log)) {
        log->bits.begin({}, 0, false);  // a bit on the disk says something about other sectors
    } else if (log->store && !is_fresh && !begins_clean) {
        const auto contents = co_await log->store->load();
        if (log->bits.has_begun()) {
            co_return;  // the kernel asked again meanwhile
        }
        if (contents) {
            log->bits.begin(contents->clean, contents->regions, false);
        } else {
            log->bits.begin({}, 0, false);
            core::log(LogLevel::kError, {.device = log->identity.uuid},
                      "{}; all regions are out of sync", contents.error().what);
        }
    } else {
        log->bits.begin({}, 0, begins_clean);
    }
    publish(*log);
    if (predecessor && predecessor->suspended) {
        forget(predecessor);  // its DTR comes later, and nobody else may begin with it
        if (predecessor->store) {
            co_await predecessor->store->settle();  // into the file that is this one's from now on
        }
    }
}

/// From now on a successor finds it.
void LogServer::publish(ServedLog& log) const {
    if (const Status published = folder_.publish(log.memory, log.identity); !published) {
        core::log(LogLevel::kError, {.device = log.identity.uuid},
                  "{}; when this daemon ends, what is known of its regions is lost",
                  published.error().what);
    }
}

/// The log whose device gets the table of `log` in place of its own: suspended, and not gone yet. A
/// successor has not heard of all suspensions; what nosync would say of the regions is less true
/// than any log. The one that is known to be suspended comes first: another may be of a table that
/// was replaced while no daemon ran.
LogServer::Entry LogServer::predecessor_of(const ServedLog& log) const {
    Entry found;
    for (const auto& [luid, other] : logs_) {
        if (is_of_same_device(*other, log) &&
            (other->suspended || (!found && log.arguments.start == Start::kNosync)) &&
            other->arguments.region_size == log.arguments.region_size &&
            log.arguments.start != Start::kSync) {
            found = other;
        }
    }
    return found;
}

bool LogServer::had_other_regions(const ServedLog& log) const {
    return std::ranges::any_of(logs_, [&log](const auto& known) {
        return is_of_same_device(*known.second, log) &&
               known.second->arguments.region_size != log.arguments.region_size;
    });
}

bool LogServer::is_of_same_device(const ServedLog& one, const ServedLog& log) {
    return one.identity.uuid == log.identity.uuid && one.identity.luid != log.identity.luid &&
           one.bits.has_begun();
}

// MARK_REGION, FLUSH and POSTSUSPEND of disk logs.

Detached LogServer::store_and_answer(Entry log, Request request) {
    const Gate::Pass pass = gate_.enter();
    const Status stored = co_await store(log);
    // A suspension never waits: a mirror whose log is broken must be given another, or removed.
    const bool may_wait = (log->arguments.block_on_error || log->may_yet_open()) &&
                          request.type() != RequestType::kPostsuspend;
    if (stored || !may_wait) {
        answer(log, request, stored ? Answer() : Answer::failed(EIO));
    } else {
        // The kernel makes a request again that has waited for 15 s, and then knows the first no
        // more. Others may wait beside: kmirrord flushes marks, and dmlogd what was cleared.
        std::erase_if(log->blocked, [&request](const Request& waiting) {
            return waiting.type() == request.type() && waiting.text() == request.text();
        });
        log->blocked.push_back(request);
    }
}

/// Writes what has changed. What fails is tried again for as long as there is the log.
Task<Status> LogServer::store(Entry log) {
    Status stored = co_await log->store->store(log->bits);
    report(*log, stored);
    if (stored) {
        log->memory.set(StateFolder::kStored);
    } else {
        try_again(log);
    }
    co_return stored;
}

Detached LogServer::try_again(Entry log) {
    if (std::exchange(log->is_tried_again, true)) {
        co_return;
    }
    const Gate::Pass pass = gate_.enter();
    Status stored = failure(EIO);
    while (!stored) {
        (void)co_await queue_.sleep(kStorePause);  // ends early only when the queue does
        const auto known = logs_.find(log->identity.luid);
        if (closing_ || known == logs_.end() || known->second != log) {
            co_return;
        }
        if (!is_surely_used(*log)) {
            break;  // should it be, what is asked of it next stores it
        }
        ++log->attempts;
        stored = co_await log->store->store(log->bits);
        report(*log, stored);
        if (stored) {
            log->memory.set(StateFolder::kStored);
            log->attempts = 0;
        }
        if (stored || (!log->arguments.block_on_error && !log->may_yet_open())) {
            for (const Request& waiting : std::exchange(log->blocked, {})) {
                answer(log, waiting, stored ? Answer() : Answer::failed(EIO));
            }
        }
    }
    log->is_tried_again = false;
}

/// Says it when a log can no more be stored, and when it can again.
void LogServer::report(ServedLog& log, const Status& stored) {
    if (log.failed.has_value() != stored.has_value()) {
        return;
    }
    if (stored) {
        core::log(LogLevel::kNotice, {.device = log.identity.uuid}, "the log is stored again");
    } else {
        core::log(LogLevel::kError, {.device = log.identity.uuid}, "the log is not stored: {}{}",
                  stored.error().what, log.arguments.block_on_error ? "; writes wait" : "");
    }
    const std::lock_guard lock(mutex_);
    log.failed = stored ? std::nullopt : std::optional(stored.error());
}

Task<void> LogServer::close() {
    closing_ = true;
    (void)co_await gate_.close(queue_);  // always 0
}

std::vector<core::DeviceStatus> LogServer::list() const {
    const auto value = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
    const std::lock_guard lock(mutex_);
    std::vector<core::DeviceStatus> all;
    all.reserve(logs_.size());
    for (const auto& [luid, log] : logs_) {
        const bool is_running = value(log->state) == core::DeviceState::kRunning;
        if (!is_running && std::ranges::any_of(logs_, [&](const auto& other) {
                return other.second->identity.uuid == log->identity.uuid &&
                       value(other.second->state) == core::DeviceState::kRunning;
            })) {
            continue;  // of a table that is loaded only; the other is what the mirror uses
        }
        core::DeviceStatus status;
        status.front_end = "dm-log";
        status.name = log->identity.uuid;
        status.config = log->table_text();
        status.node = log->arguments.path;
        const bool has_failed = log->failed || value(log->lost);
        status.state = has_failed ? core::DeviceState::kFailed : value(log->state);
        if (has_failed) {
            status.error = log->failed ? log->failed->what : kLostAdvice;
        }
        status.size = log->arguments.device_sectors * kSectorBytes;
        status.region_size = log->arguments.region_size * kSectorBytes;
        status.regions = log->bits.regions();
        status.regions_in_sync = value(log->in_sync);
        status.regions_dirty = value(log->dirty);
        status.other_commands = value(log->requests);
        status.errors = value(log->errors);
        all.push_back(std::move(status));
    }
    return all;
}

Result<std::vector<core::RegionRun>> LogServer::regions(std::string_view uuid) const {
    Entry chosen;
    for (const auto& [luid, log] : logs_) {
        if (log->identity.uuid == uuid && (!chosen || log->bits.has_begun())) {
            chosen = log;
        }
    }
    if (!chosen) {
        return failure(ENOENT, fmt::format("there is no dirty log '{}'", uuid));
    }
    const DirtyLog& bits = chosen->bits;
    std::vector<core::RegionRun> runs;
    std::uint64_t region = 0;
    DirtyLog::Ends ends;
    while (region < bits.regions()) {
        if (runs.size() == kMostRuns) {
            return failure(E2BIG,
                           fmt::format("the regions of '{}' change more than {} times from one "
                                       "to the next",
                                       uuid, kMostRuns));
        }
        runs.push_back(
            {region, bits.alike(region, ends), bits.is_clean(region), bits.in_sync(region)});
        region += runs.back().count;
    }
    return runs;
}

}  // namespace lunkit::dm_log
