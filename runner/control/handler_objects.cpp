// SPDX-License-Identifier: Apache-2.0
#include "control/handler_objects.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "control/bus_names.hpp"
#include "control/caller.hpp"
#include "core/log.hpp"
#include "tcmu-service-dbus.h"

namespace lunkit::control {

struct HandlerObjects::Shared {
    ConfigCheck& check;
    const uid_t trusted;
};

namespace {

/// What the methods of one object need; owned by its skeleton. Calls that are open hold `shared`
/// weakly: the daemon may stop meanwhile.
template <typename Shared>
struct Subtype {
    std::string name;
    std::weak_ptr<Shared> shared;
};

void answer_check(GDBusMethodInvocation* invocation, const Status& status) {
    const std::string message = status ? std::string() : status.error().what;
    g_dbus_method_invocation_return_value(
        invocation, g_variant_new("(b@s)", status ? TRUE : FALSE, string_variant(message)));
}

void answer_change(GDBusMethodInvocation* invocation, const Status& status) {
    const Error error = status ? Error{EOPNOTSUPP,
                                       "changing the medium of a device is not supported; "
                                       "delete the device and create another"}
                               : status.error();
    g_dbus_method_invocation_return_value(
        invocation, g_variant_new("(i@s)", error.code, string_variant(error.what)));
}

/// Checks `config` for the object of a subtype as the caller's right allows, then answers.
template <typename Shared>
void check_for_caller(GDBusMethodInvocation* invocation, const Subtype<Shared>& subtype,
                      const char* config, void (*answer)(GDBusMethodInvocation*, const Status&)) {
    if (!std::string_view(config).starts_with(subtype.name + "/")) {
        answer(invocation, failure(EINVAL, fmt::format("'{}' does not begin with '{}/'", config,
                                                       subtype.name)));
        return;
    }
    with_caller(invocation, [invocation, answer, weak = subtype.shared,
                             wanted = std::string(config)](std::optional<uid_t> uid) {
        const auto shared = weak.lock();
        if (!shared) {
            answer(invocation, failure(ECANCELED, "the daemon stops"));
            return;
        }
        const bool syntax_only = uid != shared->trusted;
        shared->check.run(wanted, syntax_only, [invocation, answer](const Status& status) {
            answer(invocation, status);
        });
    });
}

template <typename Shared>
gboolean on_check_config(LunkitDbusTcmuService* /*object*/, GDBusMethodInvocation* invocation,
                         const gchar* config, gpointer data) {
    check_for_caller(invocation, *static_cast<Subtype<Shared>*>(data), config, &answer_check);
    return TRUE;
}

template <typename Shared>
gboolean on_change_medium(LunkitDbusTcmuService* /*object*/, GDBusMethodInvocation* invocation,
                          const gchar* /*name*/, guint64 /*size*/, const gchar* config,
                          gpointer data) {
    check_for_caller(invocation, *static_cast<Subtype<Shared>*>(data), config, &answer_change);
    return TRUE;
}

template <typename Shared>
ObjectPtr<LunkitDbusTcmuService> make_skeleton(const host::HandlerInfo& handler,
                                               const std::shared_ptr<Shared>& shared) {
    ObjectPtr<LunkitDbusTcmuService> skeleton(lunkit_dbus_tcmu_service_skeleton_new());
    const VariantPtr help(g_variant_ref_sink(string_variant(handler.config_help)));
    lunkit_dbus_tcmu_service_set_config_desc(skeleton.get(),
                                             g_variant_get_string(help.get(), nullptr));
    auto* const subtype = new Subtype<Shared>{handler.name, shared};
    g_signal_connect(skeleton.get(), "handle-change-medium", G_CALLBACK(&on_change_medium<Shared>),
                     subtype);
    g_signal_connect_data(
        skeleton.get(), "handle-check-config", G_CALLBACK(&on_check_config<Shared>), subtype,
        [](gpointer data, GClosure*) { delete static_cast<Subtype<Shared>*>(data); },
        GConnectFlags{});
    return skeleton;
}

}  // namespace

HandlerObjects::HandlerObjects(const HandlerCatalog& handlers, ConfigCheck& check, uid_t trusted)
    : handlers_(handlers), shared_(std::make_shared<Shared>(Shared{check, trusted})) {}

HandlerObjects::~HandlerObjects() {
    HandlerObjects::detach();
}

Status HandlerObjects::attach(GDBusConnection* connection) {
    server_.reset(g_dbus_object_manager_server_new(kTcmuPath));
    for (const host::HandlerInfo& handler : handlers_.list()) {
        const std::string path = fmt::format("{}/{}", kTcmuPath, handler.name);
        if (g_variant_is_object_path(path.c_str()) == FALSE) {
            core::log(core::LogLevel::kWarning, {},
                      "handler '{}' is not shown to targetcli: D-Bus allows letters, digits and "
                      "'_' in a name",
                      handler.name);
            continue;
        }
        const ObjectPtr<GDBusObjectSkeleton> object(g_dbus_object_skeleton_new(path.c_str()));
        const auto skeleton = make_skeleton(handler, shared_);
        g_dbus_object_skeleton_add_interface(
            object.get(), reinterpret_cast<GDBusInterfaceSkeleton*>(skeleton.get()));
        g_dbus_object_manager_server_export(server_.get(), object.get());
    }
    g_dbus_object_manager_server_set_connection(server_.get(), connection);
    return {};
}

void HandlerObjects::detach() {
    if (server_) {
        g_dbus_object_manager_server_set_connection(server_.get(), nullptr);
        server_.reset();
    }
}

}  // namespace lunkit::control
