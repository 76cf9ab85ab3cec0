// SPDX-License-Identifier: Apache-2.0
#include "control/caller.hpp"

#include <utility>

namespace lunkit::control {

void with_caller(GDBusMethodInvocation* invocation,
                 std::move_only_function<void(std::optional<uid_t>)> then) {
    constexpr int kTimeoutMs = 5000;
    g_dbus_connection_call(
        g_dbus_method_invocation_get_connection(invocation), "org.freedesktop.DBus",
        "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixUser",
        g_variant_new("(s)", g_dbus_method_invocation_get_sender(invocation)),
        G_VARIANT_TYPE("(u)"), G_DBUS_CALL_FLAGS_NONE, kTimeoutMs, nullptr, run_finish,
        finish_with([then = std::move(then)](GObject* source, GAsyncResult* result) mutable {
            const VariantPtr reply(g_dbus_connection_call_finish(
                reinterpret_cast<GDBusConnection*>(source), result, nullptr));
            if (!reply) {
                then(std::nullopt);
                return;
            }
            guint32 uid = 0;
            g_variant_get(reply.get(), "(u)", &uid);
            then(static_cast<uid_t>(uid));
        }));
}

}  // namespace lunkit::control
