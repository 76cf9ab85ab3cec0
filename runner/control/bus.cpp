// SPDX-License-Identifier: Apache-2.0
#include "control/bus.hpp"

#include <fmt/format.h>

#include <utility>

#include "control/bus_names.hpp"
#include "core/log.hpp"

namespace lunkit::control {
namespace {

constexpr int kCallTimeoutMs = 4000;
constexpr std::chrono::milliseconds kConnectTimeout{4000};

// DBus specification, RequestName.
constexpr guint32 kDoNotQueue = 0x4;
constexpr guint32 kPrimaryOwner = 1;
constexpr guint32 kAlreadyOwner = 4;

// NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): GLib's flags are an enum
constexpr auto kBusClient = static_cast<GDBusConnectionFlags>(
    G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION);

using core::LogLevel;

std::string process_name(guint32 pid) {
    CharPtr name;
    const std::string path = fmt::format("/proc/{}/comm", pid);
    char* content = nullptr;
    if (g_file_get_contents(path.c_str(), &content, nullptr, nullptr) == FALSE) {
        return {};
    }
    name.reset(g_strchomp(content));
    return fmt::format(" ({})", name.get());
}

}  // namespace

struct Bus::State : std::enable_shared_from_this<State> {
    State(std::vector<BusObject*> shown, std::chrono::milliseconds retry)
        : objects(std::move(shown)), retry_after(retry) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    State(State&&) = delete;
    State& operator=(State&&) = delete;
    ~State() { drop_connection(); }

    const std::vector<BusObject*> objects;
    const std::chrono::milliseconds retry_after;
    Settled first;
    LoopTimer timer;          // a running attempt's limit, or the next attempt
    bool complained = false;  // an outage is told once
    bool was_taken = false;
    ObjectPtr<GCancellable> attempt;
    ObjectPtr<GDBusConnection> connection;
    gulong closed_signal = 0;

    void drop_connection() {
        if (!connection) {
            return;
        }
        g_signal_handler_disconnect(connection.get(), closed_signal);
        for (BusObject* const object : objects) {
            object->detach();
        }
        // Gives up the name. Not waited for: the bus may hang.
        g_dbus_connection_close(connection.get(), nullptr, nullptr, nullptr);
        connection.reset();
    }

    void settle(Outcome outcome, const std::string& explanation) {
        timer.stop();
        attempt.reset();
        if (outcome != Outcome::kOwned) {
            drop_connection();
            timer.start(retry_after, LoopTimer::Repeat::kOnce, [this] { try_once(); });
        }
        const bool told_by_caller = static_cast<bool>(first);
        if (Settled call = std::exchange(first, nullptr)) {
            call(outcome, explanation);
        }
        if (outcome == Outcome::kOwned && complained) {
            complained = false;
            core::log(LogLevel::kNotice, {}, "D-Bus: {} is ours again", kBusName);
        } else if (outcome != Outcome::kOwned && !complained) {
            complained = true;
            if (!told_by_caller) {
                core::log(LogLevel::kError, {}, "D-Bus: {}; serving goes on, trying again",
                          explanation);
            }
        }
    }

    void try_once() {
        ErrorSlot error;
        const CharPtr address(
            g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, nullptr, error.out()));
        if (!address) {
            settle(Outcome::kUnavailable, error.message());
            return;
        }
        attempt.reset(g_cancellable_new());
        timer.start(kConnectTimeout, LoopTimer::Repeat::kOnce,
                    [this] { g_cancellable_cancel(attempt.get()); });
        g_dbus_connection_new_for_address(
            address.get(), kBusClient, nullptr, attempt.get(), run_finish,
            finish_with([weak = weak_from_this()](GObject*, GAsyncResult* result) {
                ErrorSlot problem;
                ObjectPtr<GDBusConnection> made(
                    g_dbus_connection_new_for_address_finish(result, problem.out()));
                const auto self = weak.lock();
                if (!self) {
                    return;
                }
                if (made) {
                    self->connected(std::move(made));
                } else if (problem.is(G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
                    self->settle(Outcome::kUnavailable, "the system bus does not answer");
                } else {
                    self->settle(Outcome::kUnavailable,
                                 fmt::format("no system bus ({})", problem.message()));
                }
            }));
    }

    void connected(ObjectPtr<GDBusConnection> made) {
        timer.stop();
        connection = std::move(made);
        g_dbus_connection_set_exit_on_close(connection.get(), FALSE);
        closed_signal =
            g_signal_connect(connection.get(), "closed", G_CALLBACK(&State::on_closed), this);
        for (BusObject* const object : objects) {
            if (const Status status = object->attach(connection.get()); !status) {
                settle(Outcome::kUnavailable, status.error().what);
                return;
            }
        }
        call_bus("RequestName", g_variant_new("(su)", kBusName, kDoNotQueue),
                 [this](GVariant* reply, const ErrorSlot& error) { requested(reply, error); });
    }

    void requested(GVariant* reply, const ErrorSlot& error) {
        if (reply == nullptr) {
            if (error.is(G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED)) {
                settle(Outcome::kUnavailable,
                       fmt::format("the bus does not let this process own {}: is lunkit's policy "
                                   "file installed, and is this root?",
                                   kBusName));
            } else {
                settle(Outcome::kUnavailable, error.message());
            }
            return;
        }
        guint32 code = 0;
        g_variant_get(reply, "(u)", &code);
        if (code == kPrimaryOwner || code == kAlreadyOwner) {
            settle(Outcome::kOwned, {});
            return;
        }
        call_bus("GetConnectionUnixProcessID", g_variant_new("(s)", kBusName),
                 [this](GVariant* owner, const ErrorSlot&) { taken_by(owner); });
    }

    void taken_by(GVariant* owner) {
        guint32 pid = 0;
        if (owner != nullptr) {
            g_variant_get(owner, "(u)", &pid);
        }
        const std::string who =
            pid == 0 ? "another program" : fmt::format("process {}{}", pid, process_name(pid));
        const std::string explanation =
            fmt::format("{} already serves TCMU: it owns {}", who, kBusName);
        if (first && !std::exchange(was_taken, true)) {
            // A predecessor that has just ended, which the bus has not heard of yet, is no rival.
            core::log(LogLevel::kNotice, {}, "D-Bus: {}; looking once more", explanation);
            drop_connection();
            timer.start(retry_after, LoopTimer::Repeat::kOnce, [this] { try_once(); });
            return;
        }
        settle(Outcome::kTaken, explanation);
    }

    /// Calls a method of the bus itself; `then` is skipped when this has gone or has given up.
    void call_bus(const char* method, GVariant* arguments,
                  std::move_only_function<void(GVariant*, const ErrorSlot&)> then) {
        g_dbus_connection_call(
            connection.get(), "org.freedesktop.DBus", "/org/freedesktop/DBus",
            "org.freedesktop.DBus", method, arguments, G_VARIANT_TYPE("(u)"),
            G_DBUS_CALL_FLAGS_NONE, kCallTimeoutMs, nullptr, run_finish,
            finish_with([weak = weak_from_this(), then = std::move(then)](
                            GObject* source, GAsyncResult* result) mutable {
                ErrorSlot error;
                auto* const on = reinterpret_cast<GDBusConnection*>(source);
                const VariantPtr reply(g_dbus_connection_call_finish(on, result, error.out()));
                const auto self = weak.lock();
                if (self && self->connection.get() == on) {
                    then(reply.get(), error);
                }
            }));
    }

    static void on_closed(GDBusConnection* /*connection*/, gboolean /*remote_peer_vanished*/,
                          GError* /*error*/, gpointer data) {
        static_cast<State*>(data)->settle(Outcome::kUnavailable, "the connection was lost");
    }
};

Bus::Bus(std::vector<BusObject*> objects, std::chrono::milliseconds retry_after)
    : state_(std::make_shared<State>(std::move(objects), retry_after)) {}

Bus::~Bus() = default;

void Bus::start(Settled first) {
    state_->first = std::move(first);
    state_->try_once();
}

}  // namespace lunkit::control
