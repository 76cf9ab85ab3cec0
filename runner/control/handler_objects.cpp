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

namespace {

/// What the methods of one object need. Calls that are open hold it weakly: the daemon may stop
/// meanwhile.
struct Subtype {
    std::string name;
    HandlerObjects::Check check;
    uid_t trusted;
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

/// Checks `config` for the object of a subtype as the caller's right allows, then answers. `data`:
/// the signal's shared_ptr.
void check_for_caller(GDBusMethodInvocation* invocation, gpointer data, const char* config,
                      void (*answer)(GDBusMethodInvocation*, const Status&)) {
    const auto& subtype = *static_cast<std::shared_ptr<Subtype>*>(data);
    if (!std::string_view(config).starts_with(subtype->name + "/")) {
        answer(invocation, failure(EINVAL, fmt::format("'{}' does not begin with '{}/'", config,
                                                       subtype->name)));
        return;
    }
    with_caller(invocation, [invocation, answer, weak = std::weak_ptr(subtype),
                             wanted = std::string(config)](std::optional<uid_t> uid) {
        const auto there = weak.lock();
        if (!there) {
            answer(invocation, failure(ECANCELED, "the daemon stops, or the handler has gone"));
            return;
        }
        there->check(wanted, uid != there->trusted,
                     [invocation, answer](const Status& status) { answer(invocation, status); });
    });
}

gboolean on_check_config(LunkitDbusTcmuService* /*object*/, GDBusMethodInvocation* invocation,
                         const gchar* config, gpointer data) {
    check_for_caller(invocation, data, config, &answer_check);
    return TRUE;
}

gboolean on_change_medium(LunkitDbusTcmuService* /*object*/, GDBusMethodInvocation* invocation,
                          const gchar* /*name*/, guint64 /*size*/, const gchar* config,
                          gpointer data) {
    check_for_caller(invocation, data, config, &answer_change);
    return TRUE;
}

ObjectPtr<LunkitDbusTcmuService> make_skeleton(const std::string& config_desc,
                                               std::shared_ptr<Subtype> subtype) {
    ObjectPtr<LunkitDbusTcmuService> skeleton(lunkit_dbus_tcmu_service_skeleton_new());
    const VariantPtr help(g_variant_ref_sink(string_variant(config_desc)));
    lunkit_dbus_tcmu_service_set_config_desc(skeleton.get(),
                                             g_variant_get_string(help.get(), nullptr));
    auto* const data = new std::shared_ptr<Subtype>(std::move(subtype));
    g_signal_connect(skeleton.get(), "handle-change-medium", G_CALLBACK(&on_change_medium), data);
    g_signal_connect_data(
        skeleton.get(), "handle-check-config", G_CALLBACK(&on_check_config), data,
        [](gpointer owned, GClosure*) { delete static_cast<std::shared_ptr<Subtype>*>(owned); },
        GConnectFlags{});
    return skeleton;
}

std::string path_of(const std::string& subtype) {
    return fmt::format("{}/{}", kTcmuPath, subtype);
}

}  // namespace

HandlerObjects::HandlerObjects(const HandlerCatalog& handlers, ConfigCheck& check, uid_t trusted)
    : handlers_(handlers), check_(check), trusted_(trusted) {}

HandlerObjects::~HandlerObjects() {
    HandlerObjects::detach();
}

Status HandlerObjects::attach(GDBusConnection* connection) {
    server_.reset(g_dbus_object_manager_server_new(kTcmuPath));
    for (const host::HandlerInfo& handler : handlers_.list()) {
        const Status shown = show(
            handler.name, handler.config_help,
            [&check = check_](const std::string& config, bool syntax_only, ConfigCheck::Done done) {
                check.run(config, syntax_only, std::move(done));
            });
        if (!shown) {
            core::log(core::LogLevel::kWarning, {}, "handler '{}' is not shown to targetcli: {}",
                      handler.name, shown.error().what);
        }
    }
    g_dbus_object_manager_server_set_connection(server_.get(), connection);
    return {};
}

Status HandlerObjects::show(const std::string& subtype, const std::string& config_desc,
                            Check check) {
    const std::string path = path_of(subtype);
    if (g_variant_is_object_path(path.c_str()) == FALSE) {
        return failure(EINVAL, "D-Bus allows letters, digits and '_' in a name");
    }
    const ObjectPtr<GDBusObjectSkeleton> object(g_dbus_object_skeleton_new(path.c_str()));
    const auto skeleton = make_skeleton(
        config_desc, std::make_shared<Subtype>(Subtype{subtype, std::move(check), trusted_}));
    g_dbus_object_skeleton_add_interface(object.get(),
                                         reinterpret_cast<GDBusInterfaceSkeleton*>(skeleton.get()));
    g_dbus_object_manager_server_export(server_.get(), object.get());
    return {};
}

void HandlerObjects::hide(const std::string& subtype) {
    if (server_) {
        g_dbus_object_manager_server_unexport(server_.get(), path_of(subtype).c_str());
    }
}

void HandlerObjects::detach() {
    if (server_) {
        g_dbus_object_manager_server_set_connection(server_.get(), nullptr);
        server_.reset();
    }
}

}  // namespace lunkit::control
