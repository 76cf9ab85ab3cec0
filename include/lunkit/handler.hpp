// SPDX-License-Identifier: Apache-2.0
// The C++ face of the handler ABI: derive from BlockDevice (coroutines) or BlockingDevice (plain
// functions on worker threads), give it a static open(), and name it once:
//
//   class Ram : public lunkit::BlockDevice {
//     public:
//       static lunkit::Result<std::unique_ptr<Ram>> open(const lunkit::OpenRequest& request);
//       ...
//   };
//   LUNKIT_HANDLER(Ram, "ram", "memory", "<name>[;key=value]...")
//
// Optional statics: `Status check_config(const CheckRequest&)` (default: nothing is checked here)
// and `Result<Facts> inspect(const InspectRequest&)` (default: there is nothing to tell).
// The table has a callback for each function that the class overrides, NULL for the others. A
// request answered with EOPNOTSUPP is emulated by the runner as if the callback were NULL.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <forward_list>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include "lunkit/block_device.hpp"
#include "lunkit/facts.hpp"
#include "lunkit/file.hpp"
#include "lunkit/handler.h"
#include "lunkit/queue.hpp"
#include "lunkit/request.hpp"
#include "lunkit/result.hpp"
#include "lunkit/task.hpp"

namespace lunkit {

/// The device's queue, seen from a plugin: forwards to the host table.
class HostQueue final : public Queue {
  public:
    HostQueue(const lunkit_host& host, lunkit_queue* queue) : host_(host), queue_(queue) {}

    /// On the queue's thread; stays for as long as the thread. Hidden: each plugin has its own.
    [[gnu::visibility("hidden")]] static HostQueue& of(const lunkit_host& host,
                                                       lunkit_queue* queue) {
        if (last_ == nullptr || !last_->is(host, queue)) [[unlikely]] {
            find(host, queue);
        }
        return *last_;
    }

    [[nodiscard]] lunkit_queue* handle() override { return queue_; }
    int submit_timer(std::uint64_t nanoseconds, lunkit_completion* completion) override {
        return host_.timer(queue_, nanoseconds, completion);
    }
    int submit_poll(int fd, std::uint32_t events, lunkit_completion* completion) override {
        return host_.poll(queue_, fd, events, completion);
    }
    int submit_offload(const void* lane, std::int64_t (*function)(void*), void* argument,
                       lunkit_completion* completion) override {
        return host_.offload(queue_, lane, function, argument, completion);
    }
    void cancel(lunkit_completion* completion) override { host_.cancel(queue_, completion); }
    void post(lunkit_completion* completion) override { host_.post(queue_, completion); }

  private:
    [[nodiscard]] bool is(const lunkit_host& host, const lunkit_queue* queue) const {
        return &host_ == &host && queue_ == queue;
    }
    [[gnu::visibility("hidden"), gnu::noinline]] static void find(const lunkit_host& host,
                                                                  lunkit_queue* queue) {
        static thread_local std::forward_list<HostQueue> known;
        for (HostQueue& each : known) {
            if (each.is(host, queue)) {
                last_ = &each;
                return;
            }
        }
        last_ = &known.emplace_front(host, queue);
    }

    const lunkit_host& host_;
    lunkit_queue* queue_;
    [[gnu::visibility("hidden")]] static inline constinit thread_local HostQueue* last_ = nullptr;
};

/// What open() is asked. Views: valid during the call; `host` until unload.
struct OpenRequest {
    std::string_view config;  ///< what follows "<handler>/"
    std::string_view name;    ///< the device, for messages
    std::uint64_t size;       ///< bytes wanted; 0 = as large as the storage is
    std::uint32_t block_size;
    bool read_only;
    bool take_over;
    const lunkit_host& host;
    void* host_device;
};

struct CheckRequest {
    std::string_view config;
    bool syntax_only;  ///< the caller may not learn about files
    const lunkit_host& host;
};

/// Views: valid during the call.
struct InspectRequest {
    std::string_view config;
    bool verify;        ///< read all metadata, tell what is damaged
    bool repair_leaks;  ///< with verify: free the space that nobody uses
    const lunkit_host& host;
    lunkit_queue* queue;  ///< another thread's; host.post() brings work there
};

/// For storage that offers blocking calls only. Called on worker threads, one call at a time for a
/// device unless `kParallel` is declared true in the derived class.
class BlockingDevice {
  public:
    virtual ~BlockingDevice() = default;
    [[nodiscard]] virtual DeviceInfo info() const = 0;
    virtual Status read(std::byte* to, std::uint64_t length, std::uint64_t offset) = 0;
    virtual Status write(const std::byte* from, std::uint64_t length, std::uint64_t offset) = 0;
    /// Left out: what has been written is durable, so info().write_cache must be false.
    virtual Status flush() { return {}; }
    virtual Status discard(std::uint64_t /*length*/, std::uint64_t /*offset*/) {
        return failure(EOPNOTSUPP);
    }
    virtual Status write_zeroes(std::uint64_t /*length*/, std::uint64_t /*offset*/) {
        return failure(EOPNOTSUPP);
    }
    virtual Status resize(std::uint64_t size) {
        return size == info().size ? Status{} : failure(EOPNOTSUPP, "this handler cannot resize");
    }

    BlockingDevice(const BlockingDevice&) = delete;
    BlockingDevice& operator=(const BlockingDevice&) = delete;
    BlockingDevice(BlockingDevice&&) = delete;
    BlockingDevice& operator=(BlockingDevice&&) = delete;

  protected:
    BlockingDevice() = default;
};

namespace detail {

inline int fail(const Error& error, char* text, std::size_t size) {
    if (text != nullptr && size > 0) {
        const std::string what =
            error.what.empty() ? std::generic_category().message(error.code) : error.what;
        const std::size_t length = std::min(size - 1, what.size());
        std::memcpy(text, what.data(), length);
        text[length] = '\0';
    }
    return -error.code;
}

inline void fill(lunkit_device_info& to, const DeviceInfo& from) {
    lunkit_device_info info{};
    info.struct_size = to.struct_size;
    info.flags = (from.read_only ? LUNKIT_DEVICE_READ_ONLY : 0U) |
                 (from.write_cache ? LUNKIT_DEVICE_WRITE_CACHE : 0U) |
                 (from.rotational ? LUNKIT_DEVICE_ROTATIONAL : 0U) |
                 (from.parallel ? LUNKIT_DEVICE_PARALLEL : 0U) |
                 (from.thin ? LUNKIT_DEVICE_THIN : 0U) |
                 (from.discard_zeroes ? LUNKIT_DEVICE_DISCARD_ZEROES : 0U) |
                 (from.can_discard ? 0U : LUNKIT_DEVICE_NO_DISCARD) |
                 (from.can_extents ? 0U : LUNKIT_DEVICE_NO_EXTENTS) |
                 (from.can_tell_space ? 0U : LUNKIT_DEVICE_NO_SPACE);
    info.size = from.size;
    info.min_block_size = from.min_block_size;
    info.physical_block_size = from.physical_block_size;
    info.optimal_io_size = from.optimal_io_size;
    info.discard_granularity = from.discard_granularity;
    info.max_transfer = from.max_transfer;
    info.max_discard = from.max_discard;
    info.max_write_zeroes = from.max_write_zeroes;
    info.max_atomic_write = from.max_atomic_write;
    info.device_type = static_cast<std::uint32_t>(from.type);
    info.zone_size = from.zone_size;
    info.max_open_zones = from.max_open_zones;
    std::memcpy(&to, &info, std::min<std::size_t>(to.struct_size, sizeof info));
}

inline void tell(const lunkit_inspect& to, const Fact& fact) {
    lunkit_fact told{};
    told.key = fact.key.c_str();
    if (const auto* const items = std::get_if<std::vector<std::string>>(&fact.value)) {
        told.kind = LUNKIT_FACT_ITEM;
        for (const std::string& item : *items) {
            told.text = item.c_str();
            to.tell(to.context, &told);
        }
        return;
    }
    if (const auto* const text = std::get_if<std::string>(&fact.value)) {
        told.kind = LUNKIT_FACT_TEXT;
        told.text = text->c_str();
    } else if (const auto* const number = std::get_if<std::uint64_t>(&fact.value)) {
        told.kind = LUNKIT_FACT_NUMBER;
        told.number = *number;
    } else if (const auto* const flag = std::get_if<bool>(&fact.value)) {
        told.kind = LUNKIT_FACT_FLAG;
        told.number = *flag ? 1 : 0;
    }
    to.tell(to.context, &told);
}

/// The C table for a class derived from BlockDevice or BlockingDevice. Hidden, because its statics
/// would else be one for all plugins of the process that have a class of this name.
template <typename Device>
class [[gnu::visibility("hidden")]] HandlerTable {
  public:
    static const lunkit_handler* entry(const lunkit_host* host, const char* name,
                                       const char* description, const char* config_help) {
        host_ = host;
        static lunkit_handler table = make(name, description, config_help);
        return &table;
    }

  private:
    static constexpr bool kBlocking = std::is_base_of_v<BlockingDevice, Device>;
    static constexpr bool kChecks = requires(const CheckRequest& request) {
        { Device::check_config(request) } -> std::same_as<Status>;
    };
    static constexpr bool kInspects = requires(const InspectRequest& request) {
        { Device::inspect(request) } -> std::same_as<Result<Facts>>;
    };
    static inline const lunkit_host* host_ = nullptr;

    static Device& self(void* device) { return *static_cast<Device*>(device); }

    static int check_config(const lunkit_check* check) {
        if constexpr (kChecks) {
            const CheckRequest request{check->config,
                                       (check->flags & LUNKIT_CHECK_SYNTAX_ONLY) != 0, *host_};
            if (Status status = Device::check_config(request); !status) {
                return fail(status.error(), check->error, check->error_size);
            }
        }
        return 0;
    }
    static int inspect(const lunkit_inspect* inspect) {
        const InspectRequest request{inspect->config, (inspect->flags & LUNKIT_INSPECT_VERIFY) != 0,
                                     (inspect->flags & LUNKIT_INSPECT_REPAIR_LEAKS) != 0, *host_,
                                     inspect->queue};
        const Result<Facts> facts = Device::inspect(request);
        if (!facts) {
            return fail(facts.error(), inspect->error, inspect->error_size);
        }
        for (const Fact& fact : *facts) {
            tell(*inspect, fact);
        }
        return 0;
    }
    static int open(const lunkit_open* open, void** device) {
        const OpenRequest request{open->config,
                                  open->name,
                                  open->size,
                                  open->block_size,
                                  (open->flags & LUNKIT_OPEN_READ_ONLY) != 0,
                                  (open->flags & LUNKIT_OPEN_TAKE_OVER) != 0,
                                  *host_,
                                  open->host_device};
        auto opened = Device::open(request);
        if (!opened) {
            return fail(opened.error(), open->error, open->error_size);
        }
        fill(*open->info, (*opened)->info());
        *device = opened->release();
        return 0;
    }
    static void close(void* device) { delete &self(device); }
    static int resize(void* device, std::uint64_t size, lunkit_device_info* info, char* error,
                      std::size_t error_size) {
        if (Status status = self(device).resize(size); !status) {
            return fail(status.error(), error, error_size);
        }
        fill(*info, self(device).info());
        return 0;
    }

    // Asynchronous.
    static Request run_extents(Device& device, lunkit_queue* handle, const lunkit_io* io,
                               lunkit_extent_list* list, lunkit_completion* completion) {
        HostQueue queue(*host_, handle);
        const IoRequest request(*io);
        Result<std::uint32_t> count =
            co_await device.extents(queue, request, {list->extents, list->capacity});
        if (!count) {
            co_return fail(count.error(), completion);
        }
        list->count = *count;
        completion->result = 0;
        co_return LUNKIT_DONE;
    }
    static Request run_report_zones(Device& device, lunkit_queue* handle, const lunkit_io* io,
                                    lunkit_zone_list* list, lunkit_completion* completion) {
        HostQueue queue(*host_, handle);
        const IoRequest request(*io);
        Result<std::uint32_t> count =
            co_await device.report_zones(queue, request, {list->zones, list->capacity});
        if (!count) {
            co_return fail(count.error(), completion);
        }
        list->count = *count;
        completion->result = 0;
        co_return LUNKIT_DONE;
    }
    static Request run_space(Device& device, lunkit_queue* handle, lunkit_space* space,
                             lunkit_completion* completion) {
        HostQueue queue(*host_, handle);
        const Result<Space> told = co_await device.space(queue);
        if (!told) {
            co_return fail(told.error(), completion);
        }
        lunkit_space filled{};
        filled.struct_size = space->struct_size;
        filled.flags = told->shared ? LUNKIT_SPACE_SHARED : 0U;
        filled.used = told->used;
        filled.available = told->available;
        std::memcpy(space, &filled, std::min<std::size_t>(space->struct_size, sizeof filled));
        completion->result = 0;
        co_return LUNKIT_DONE;
    }
    static int finish(const Status& status, lunkit_completion* completion) {
        if (!status) {
            return fail(status.error(), completion);
        }
        completion->result = 0;
        return LUNKIT_DONE;
    }
    static Request wait(Task<Status> task, lunkit_completion* completion) {
        co_return finish(co_await task.rest(), completion);
    }
    /// What ends at once takes no frame but the device's own.
    static int settle(Task<Status> task, lunkit_completion* completion) {
        if (task.start()) {
            return finish(task.take(), completion);
        }
        return wait(std::move(task), completion).settle(completion);
    }
    static Queue& queue_of(lunkit_queue* handle) { return HostQueue::of(*host_, handle); }
    /// The caller keeps it until the request has ended.
    static const IoRequest& request_of(const lunkit_io* io) {
        return static_cast<const IoRequest&>(*io);  // which adds nothing but functions
    }
    static int read(void* device, lunkit_queue* queue, const lunkit_io* io,
                    lunkit_completion* completion) {
        return settle(self(device).read(queue_of(queue), request_of(io)), completion);
    }
    static int write(void* device, lunkit_queue* queue, const lunkit_io* io,
                     lunkit_completion* completion) {
        return settle(self(device).write(queue_of(queue), request_of(io)), completion);
    }
    static int flush(void* device, lunkit_queue* queue, const lunkit_io* /*io*/,
                     lunkit_completion* completion) {
        return settle(self(device).flush(queue_of(queue)), completion);
    }
    static int discard(void* device, lunkit_queue* queue, const lunkit_io* io,
                       lunkit_completion* completion) {
        return settle(self(device).discard(queue_of(queue), request_of(io)), completion);
    }
    static int write_zeroes(void* device, lunkit_queue* queue, const lunkit_io* io,
                            lunkit_completion* completion) {
        return settle(self(device).write_zeroes(queue_of(queue), request_of(io)), completion);
    }
    static int compare_and_write(void* device, lunkit_queue* queue, const lunkit_io* io,
                                 lunkit_completion* completion) {
        return settle(self(device).compare_and_write(queue_of(queue), request_of(io)), completion);
    }
    template <ZoneAction Action>
    static int manage_zones(void* device, lunkit_queue* queue, const lunkit_io* io,
                            lunkit_completion* completion) {
        return settle(self(device).manage_zones(queue_of(queue), Action, request_of(io)),
                      completion);
    }
    static int start_extents(void* device, lunkit_queue* queue, const lunkit_io* io,
                             lunkit_extent_list* list, lunkit_completion* completion) {
        return run_extents(self(device), queue, io, list, completion).settle(completion);
    }
    static int start_report_zones(void* device, lunkit_queue* queue, const lunkit_io* io,
                                  lunkit_zone_list* list, lunkit_completion* completion) {
        return run_report_zones(self(device), queue, io, list, completion).settle(completion);
    }
    static int start_space(void* device, lunkit_queue* queue, lunkit_space* space,
                           lunkit_completion* completion) {
        return run_space(self(device), queue, space, completion).settle(completion);
    }

    // Blocking: errors carry no position there.
    static int code(const Status& status) { return status ? 0 : -status.error().code; }
    static int read_blocking(void* device, void* buffer, std::uint64_t length, std::uint64_t offset,
                             std::uint32_t /*flags*/) {
        return code(self(device).read(static_cast<std::byte*>(buffer), length, offset));
    }
    static int write_blocking(void* device, const void* buffer, std::uint64_t length,
                              std::uint64_t offset, std::uint32_t /*flags*/) {
        return code(self(device).write(static_cast<const std::byte*>(buffer), length, offset));
    }
    static int flush_blocking(void* device) { return code(self(device).flush()); }
    static int discard_blocking(void* device, std::uint64_t length, std::uint64_t offset,
                                std::uint32_t /*flags*/) {
        return code(self(device).discard(length, offset));
    }
    static int write_zeroes_blocking(void* device, std::uint64_t length, std::uint64_t offset,
                                     std::uint32_t /*flags*/) {
        return code(self(device).write_zeroes(length, offset));
    }
    static int set_write_cache(void* device, int enabled, char* error, std::size_t error_size) {
        if (Status status = self(device).set_write_cache(enabled != 0); !status) {
            return fail(status.error(), error, error_size);
        }
        return 0;
    }

    template <typename Mine, typename Base>
    static constexpr bool kOverridden = !std::is_same_v<Mine, Base>;

    static void add_zones(lunkit_handler& table) {
        if constexpr (kOverridden<decltype(&Device::manage_zones),
                                  decltype(&BlockDevice::manage_zones)>) {
            table.report_zones = start_report_zones;
            table.open_zones = manage_zones<ZoneAction::kOpen>;
            table.close_zones = manage_zones<ZoneAction::kClose>;
            table.finish_zones = manage_zones<ZoneAction::kFinish>;
            table.reset_zones = manage_zones<ZoneAction::kReset>;
        }
    }

    static void add_blocking(lunkit_handler& table) {
        using Base = BlockingDevice;
        if constexpr (requires { Device::kParallel; }) {
            table.flags = Device::kParallel ? LUNKIT_HANDLER_PARALLEL : 0U;
        }
        table.read_blocking = read_blocking;
        table.write_blocking = write_blocking;
        if constexpr (kOverridden<decltype(&Device::flush), decltype(&Base::flush)>) {
            table.flush_blocking = flush_blocking;
        }
        if constexpr (kOverridden<decltype(&Device::discard), decltype(&Base::discard)>) {
            table.discard_blocking = discard_blocking;
        }
        if constexpr (kOverridden<decltype(&Device::write_zeroes), decltype(&Base::write_zeroes)>) {
            table.write_zeroes_blocking = write_zeroes_blocking;
        }
    }

    static lunkit_handler make(const char* name, const char* description, const char* config_help) {
        lunkit_handler table{};
        table.struct_size = sizeof table;
        table.abi_version = LUNKIT_ABI_VERSION;
        table.name = name;
        table.description = description;
        table.config_help = config_help;
        table.check_config = check_config;
        table.open = open;
        table.close = close;
        table.resize = resize;
        if constexpr (kInspects) {
            table.inspect = inspect;
        }
        if constexpr (kBlocking) {
            add_blocking(table);
        } else {
            using Base = BlockDevice;
            table.read = read;
            table.write = write;
            table.flush = flush;
            if constexpr (kOverridden<decltype(&Device::discard), decltype(&Base::discard)>) {
                table.discard = discard;
            }
            if constexpr (kOverridden<decltype(&Device::write_zeroes),
                                      decltype(&Base::write_zeroes)>) {
                table.write_zeroes = write_zeroes;
            }
            if constexpr (kOverridden<decltype(&Device::compare_and_write),
                                      decltype(&Base::compare_and_write)>) {
                table.compare_and_write = compare_and_write;
            }
            if constexpr (kOverridden<decltype(&Device::extents), decltype(&Base::extents)>) {
                table.extents = start_extents;
            }
            add_zones(table);
            if constexpr (kOverridden<decltype(&Device::space), decltype(&Base::space)>) {
                table.space = start_space;
            }
            if constexpr (kOverridden<decltype(&Device::set_write_cache),
                                      decltype(&Base::set_write_cache)>) {
                table.set_write_cache = set_write_cache;
            }
        }
        return table;
    }
};

}  // namespace detail
}  // namespace lunkit

/// Defines the plugin's one exported function; at file scope, outside any namespace.
// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): it defines an extern "C" function
#define LUNKIT_HANDLER(device_class, name, description, config_help)                              \
    extern "C" __attribute__((visibility("default"))) const lunkit_handler* lunkit_handler_entry( \
        const lunkit_host* host) {                                                                \
        return lunkit::detail::HandlerTable<device_class>::entry(host, name, description,         \
                                                                 config_help);                    \
    }                                                                                             \
    static_assert(true, "a semicolon follows")
