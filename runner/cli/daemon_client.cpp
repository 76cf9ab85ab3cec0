// SPDX-License-Identifier: Apache-2.0
#include "cli/daemon_client.hpp"

#include <fmt/format.h>
#include <gio/gio.h>
#include <gio/gunixfdlist.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <utility>

#include "core/trace.hpp"
#include "lunkit/try.hpp"

namespace lunkit::cli {
namespace {

using nlohmann::json;

constexpr const char* kBusName = "org.kernel.TCMUService1";
constexpr const char* kPath = "/org/lunkit";
constexpr const char* kInterface = "org.lunkit.Manager1";
constexpr const char* kNoSuchDeviceError = "org.lunkit.Error.NoSuchDevice";

struct Unref {
    void operator()(GDBusConnection* connection) const { g_object_unref(connection); }
    void operator()(GUnixFDList* list) const { g_object_unref(list); }
    void operator()(GVariant* variant) const { g_variant_unref(variant); }
    void operator()(GError* error) const { g_error_free(error); }
    void operator()(char* text) const { g_free(text); }
};
template <typename T>
using Owned = std::unique_ptr<T, Unref>;

json to_json(GVariant* value);

json container_to_json(GVariant* value) {
    const bool is_object = g_variant_is_of_type(value, G_VARIANT_TYPE_DICTIONARY) != FALSE;
    json result = is_object ? json::object() : json::array();
    const gsize count = g_variant_n_children(value);
    for (gsize i = 0; i < count; ++i) {
        const Owned<GVariant> child(g_variant_get_child_value(value, i));
        if (is_object) {
            const Owned<GVariant> key(g_variant_get_child_value(child.get(), 0));
            const Owned<GVariant> item(g_variant_get_child_value(child.get(), 1));
            result[g_variant_get_string(key.get(), nullptr)] = to_json(item.get());
        } else {
            result.push_back(to_json(child.get()));
        }
    }
    return result;
}

/// The types that the interface uses; others become their text.
json to_json(GVariant* value) {
    switch (g_variant_classify(value)) {
        case G_VARIANT_CLASS_BOOLEAN:
            return g_variant_get_boolean(value) != FALSE;
        case G_VARIANT_CLASS_INT32:
            return g_variant_get_int32(value);
        case G_VARIANT_CLASS_UINT32:
            return g_variant_get_uint32(value);
        case G_VARIANT_CLASS_INT64:
            return static_cast<std::int64_t>(g_variant_get_int64(value));
        case G_VARIANT_CLASS_UINT64:
            return static_cast<std::uint64_t>(g_variant_get_uint64(value));
        case G_VARIANT_CLASS_STRING:
            return g_variant_get_string(value, nullptr);
        case G_VARIANT_CLASS_VARIANT: {
            const Owned<GVariant> inner(g_variant_get_variant(value));
            return to_json(inner.get());
        }
        case G_VARIANT_CLASS_ARRAY:
        case G_VARIANT_CLASS_TUPLE:
            return container_to_json(value);
        default: {
            const Owned<char> text(g_variant_print(value, FALSE));
            return text.get();
        }
    }
}

std::unexpected<Error> explain(const GError& error) {
    const auto is = [&](int code) { return g_error_matches(&error, G_DBUS_ERROR, code) != FALSE; };
    if (is(G_DBUS_ERROR_SERVICE_UNKNOWN) || is(G_DBUS_ERROR_NAME_HAS_NO_OWNER)) {
        return failure(ENOTCONN, "lunkitd is not running; start it with: systemctl start lunkitd");
    }
    if (is(G_DBUS_ERROR_UNKNOWN_METHOD) || is(G_DBUS_ERROR_UNKNOWN_OBJECT) ||
        is(G_DBUS_ERROR_UNKNOWN_INTERFACE)) {
        return failure(ENOTCONN, fmt::format("the TCMU daemon that owns {} is not lunkitd, or "
                                             "another version of it",
                                             kBusName));
    }
    if (is(G_DBUS_ERROR_ACCESS_DENIED)) {
        return failure(EACCES, "permission denied: only root may manage lunkitd");
    }
    if (is(G_DBUS_ERROR_NO_REPLY)) {  // the bus says so when the recipient goes away
        return failure(ECONNRESET, "lunkitd ended before it answered");
    }
    if (is(G_DBUS_ERROR_TIMEOUT) ||
        g_error_matches(&error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) != FALSE) {
        return failure(ETIMEDOUT, "lunkitd does not answer");
    }
    const Owned<char> name(g_dbus_error_get_remote_error(&error));
    const bool is_missing = name && std::string_view(name.get()) == kNoSuchDeviceError;
    const Owned<GError> copy(g_error_copy(&error));
    g_dbus_error_strip_remote_error(copy.get());
    return failure(is_missing ? ENOENT : EREMOTEIO, copy->message);
}

/// D-Bus carries nothing else. `what` is what the text is, to a person.
Status check_utf8(std::string_view what, const std::string& text) {
    if (g_utf8_validate(text.c_str(), -1, nullptr) == FALSE) {
        return failure(EINVAL, fmt::format("the {} is not valid UTF-8", what));
    }
    return {};
}

}  // namespace

struct DaemonClient::Connection {
    Owned<GDBusConnection> bus;
    Patience patience;

    /// The reply's arguments as an array. Takes `arguments`, if floating.
    [[nodiscard]] Result<json> call(const char* interface, const char* method, GVariant* arguments,
                                    std::chrono::milliseconds limit) const {
        GError* error = nullptr;
        const Owned<GVariant> reply(g_dbus_connection_call_sync(
            bus.get(), kBusName, kPath, interface, method, arguments, nullptr,
            G_DBUS_CALL_FLAGS_NO_AUTO_START, static_cast<int>(limit.count()), nullptr, &error));
        if (!reply) {
            const Owned<GError> owned(error);
            return explain(*owned);
        }
        return to_json(reply.get());
    }
    [[nodiscard]] Result<json> call(const char* interface, const char* method,
                                    GVariant* arguments) const {
        return call(interface, method, arguments, patience.answer);
    }

    /// A device of the front end is made or removed.
    [[nodiscard]] Result<json> change_device(const char* front_end, const char* method,
                                             GVariant* arguments) const {
        auto reply = call(kInterface, method, arguments, patience.device);
        if (!reply && reply.error().code == ETIMEDOUT) {
            return failure(
                ETIMEDOUT,
                fmt::format("lunkitd has not finished within {} s and goes on with it; "
                            "how far it is, says: lunkit {} list",
                            std::chrono::ceil<std::chrono::seconds>(patience.device).count(),
                            front_end));
        }
        return reply;
    }

    /// The only argument of a reply.
    static Result<json> only(const char* method, Result<json> reply) {
        if (!reply) {
            return reply;
        }
        if (reply->size() != 1) {
            return failure(EREMOTEIO, fmt::format("{}: unexpected reply", method));
        }
        return std::move(reply->front());
    }
    [[nodiscard]] Result<json> ask(const char* interface, const char* method,
                                   GVariant* arguments) const {
        return only(method, call(interface, method, arguments));
    }
};

DaemonClient::DaemonClient(std::unique_ptr<Connection> connection)
    : connection_(std::move(connection)) {}
DaemonClient::DaemonClient(DaemonClient&&) noexcept = default;
DaemonClient& DaemonClient::operator=(DaemonClient&&) noexcept = default;
DaemonClient::~DaemonClient() = default;

Result<DaemonClient> DaemonClient::connect(Patience patience) {
    GError* error = nullptr;
    Owned<GDBusConnection> bus(g_bus_get_sync(G_BUS_TYPE_SYSTEM, nullptr, &error));
    if (!bus) {
        const Owned<GError> owned(error);
        return failure(ENOTCONN,
                       fmt::format("cannot reach the system bus ({}); is D-Bus running? (systemctl "
                                   "start dbus)",
                                   owned->message));
    }
    // A bus that goes away is an error of the call, not the end of this program.
    g_dbus_connection_set_exit_on_close(bus.get(), FALSE);
    return DaemonClient(std::make_unique<Connection>(Connection{std::move(bus), patience}));
}

Result<json> DaemonClient::devices() const {
    return connection_->ask(kInterface, "ListDevices", nullptr);
}

Result<json> DaemonClient::handlers() const {
    return connection_->ask(kInterface, "ListHandlers", nullptr);
}

Result<json> DaemonClient::check(const std::string& config) const {
    CHECK(check_utf8("configuration", config));
    TRY(json reply,
        connection_->call(kInterface, "CheckConfig", g_variant_new("(s)", config.c_str())));
    if (reply.size() != 2) {
        return failure(EREMOTEIO, "CheckConfig: unexpected reply");
    }
    return json{{"valid", reply[0]}, {"message", reply[1]}};
}

Result<json> DaemonClient::add(const char* front_end, const NewDevice& wanted) const {
    CHECK(check_utf8("configuration", wanted.config));
    CHECK(check_utf8("name", wanted.name));
    GVariantBuilder options{};
    g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
    const auto add_option = [&options](const char* key, GVariant* value) {
        g_variant_builder_add(&options, "{sv}", key, value);
    };
    if (wanted.number) {
        add_option("number", g_variant_new_uint32(*wanted.number));
    }
    if (wanted.size != 0) {
        add_option("size", g_variant_new_uint64(wanted.size));
    }
    if (wanted.block_size != 0) {
        add_option("block_size", g_variant_new_uint32(wanted.block_size));
    }
    if (wanted.read_only) {
        add_option("read_only", g_variant_new_boolean(TRUE));
    }
    if (!wanted.name.empty()) {
        add_option("name", g_variant_new_string(wanted.name.c_str()));
    }
    if (wanted.start != 0) {
        add_option("start", g_variant_new_uint64(wanted.start));
    }
    if (wanted.channels != 0) {
        add_option("channels", g_variant_new_uint32(wanted.channels));
    }
    if (wanted.queues != 0) {
        add_option("queues", g_variant_new_uint32(wanted.queues));
    }
    constexpr const char* kMethod = "AddDevice";
    return Connection::only(
        kMethod, connection_->change_device(
                     front_end, kMethod,
                     g_variant_new("(ssa{sv})", front_end, wanted.config.c_str(), &options)));
}

Result<json> DaemonClient::remove(const char* front_end, const std::string& name,
                                  bool force) const {
    CHECK(check_utf8("name", name));
    return connection_->change_device(
        front_end, "RemoveDevice",
        g_variant_new("(ssb)", front_end, name.c_str(), force ? TRUE : FALSE));
}

Result<json> DaemonClient::ublk_resize(const std::string& name, std::uint64_t size,
                                       bool recreate) const {
    CHECK(check_utf8("name", name));
    return connection_->change_device(
        "ublk", "ResizeDevice",
        g_variant_new("(sstb)", "ublk", name.c_str(), size, recreate ? TRUE : FALSE));
}

Result<json> DaemonClient::regions(const std::string& uuid) const {
    CHECK(check_utf8("UUID", uuid));
    TRY(const json runs,
        connection_->ask(kInterface, "ListRegions", g_variant_new("(ss)", "dm-log", uuid.c_str())));
    json named = json::array();
    for (const json& run : runs) {
        if (run.size() != 4) {
            return failure(EREMOTEIO, "ListRegions: unexpected reply");
        }
        named.push_back(
            {{"first", run[0]}, {"count", run[1]}, {"clean", run[2]}, {"in_sync", run[3]}});
    }
    return named;
}

Result<json> DaemonClient::log_levels() const {
    TRY(json reply, connection_->call(kInterface, "ListLogLevels", nullptr));
    if (reply.size() != 2) {
        return failure(EREMOTEIO, "ListLogLevels: unexpected reply");
    }
    return json{{"level", reply[0]}, {"devices", reply[1]}};
}

Result<json> DaemonClient::set_log_level(const std::string& device,
                                         const std::string& level) const {
    CHECK(check_utf8("name", device));
    return connection_->call(kInterface, "SetLogLevel",
                             g_variant_new("(ss)", device.c_str(), level.c_str()));
}

Result<UniqueFd> DaemonClient::trace(const std::string& front_end, const std::string& name) const {
    CHECK(check_utf8("name", name));
    GError* error = nullptr;
    GUnixFDList* list = nullptr;
    const Owned<GVariant> reply(g_dbus_connection_call_with_unix_fd_list_sync(
        connection_->bus.get(), kBusName, kPath, kInterface, "Trace",
        g_variant_new("(ss)", front_end.c_str(), name.c_str()), G_VARIANT_TYPE("(hu)"),
        G_DBUS_CALL_FLAGS_NO_AUTO_START, static_cast<int>(connection_->patience.answer.count()),
        nullptr, &list, nullptr, &error));
    if (!reply) {
        const Owned<GError> owned(error);
        return explain(*owned);
    }
    const Owned<GUnixFDList> descriptors(list);
    gint32 place = 0;
    guint32 version = 0;
    g_variant_get(reply.get(), "(hu)", &place, &version);
    UniqueFd stream(list != nullptr ? g_unix_fd_list_get(list, place, nullptr) : -1);
    if (!stream) {
        return failure(EREMOTEIO, "Trace: unexpected reply");
    }
    if (version != core::TraceRecord::kVersion) {
        return failure(ENOTSUP, "lunkitd is of another version; restart it");
    }
    return stream;
}

Result<json> DaemonClient::reload() const {
    return connection_->ask(kInterface, "Reload", nullptr);
}

Result<json> DaemonClient::version() const {
    return connection_->ask("org.freedesktop.DBus.Properties", "Get",
                            g_variant_new("(ss)", kInterface, "Version"));
}

}  // namespace lunkit::cli
