// SPDX-License-Identifier: Apache-2.0
#include "control/external_handlers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "control/bus_names.hpp"
#include "control/caller.hpp"
#include "control/glib_handle.hpp"
#include "core/log.hpp"
#include "lunkit/try.hpp"
#include "tcmu-service-dbus.h"

namespace lunkit::control {
namespace {

constexpr std::size_t kMaxSubtype = 64;
constexpr std::size_t kMaxConfigDesc = 4096;

std::string bus_name_of(const std::string& subtype) {
    return fmt::format("{}.HandlerManager1.{}", kBusName, subtype);
}

void answer(GDBusMethodInvocation* invocation, const Status& status) {
    const std::string message = status ? "registered" : status.error().what;
    g_dbus_method_invocation_return_value(
        invocation, g_variant_new("(b@s)", status ? TRUE : FALSE, string_variant(message)));
}

}  // namespace

class ExternalHandlers::Registry : public std::enable_shared_from_this<Registry> {
  public:
    Registry(ExternalHandlers& parts, GDBusConnection* connection)
        : parts_(parts),
          connection_(connection),
          manager_(lunkit_dbus_tcmu_handler_manager_skeleton_new()) {}
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;
    Registry(Registry&&) = delete;
    Registry& operator=(Registry&&) = delete;
    ~Registry() {
        g_dbus_interface_skeleton_unexport(interface());
        while (!entries_.empty()) {
            drop(entries_.begin()->first, "the daemon stops, or has left the bus");
        }
    }

    Status begin() {
        auto* const data = new std::weak_ptr<Registry>(weak_from_this());
        g_signal_connect_data(
            manager_.get(), "handle-register-handler", G_CALLBACK(&Registry::on_register), data,
            [](gpointer owned, GClosure*) { delete static_cast<std::weak_ptr<Registry>*>(owned); },
            GConnectFlags{});
        ErrorSlot error;
        if (g_dbus_interface_skeleton_export(interface(), connection_, kHandlerManagerPath,
                                             error.out()) == FALSE) {
            return failure(EIO, error.message());
        }
        return {};
    }

  private:
    struct Entry {
        std::string config_desc;
        std::string owner;  ///< the connection that has registered it
        guint watch = 0;
        GDBusMethodInvocation* waits = nullptr;  ///< to hear whether it is registered
    };
    /// What a watch of a name needs.
    struct Watched {
        std::weak_ptr<Registry> registry;
        std::string subtype;
    };

    GDBusInterfaceSkeleton* interface() {
        return reinterpret_cast<GDBusInterfaceSkeleton*>(manager_.get());
    }

    static gboolean on_register(LunkitDbusTcmuHandlerManager* /*object*/,
                                GDBusMethodInvocation* invocation, const gchar* subtype,
                                const gchar* config_desc, gpointer data) {
        with_caller(invocation, [invocation, weak = *static_cast<std::weak_ptr<Registry>*>(data),
                                 wanted = std::string(subtype), desc = std::string(config_desc)](
                                    std::optional<uid_t> uid) mutable {
            const auto self = weak.lock();
            if (!self || uid != self->parts_.trusted_) {
                g_dbus_method_invocation_return_error(invocation, G_DBUS_ERROR,
                                                      G_DBUS_ERROR_ACCESS_DENIED,
                                                      "only root may register a handler");
                return;
            }
            self->add(invocation, wanted, std::move(desc));
        });
        return TRUE;
    }

    /// Whether it may be registered, apart from who serves it.
    [[nodiscard]] Status examine(const std::string& subtype, const std::string& config_desc) const {
        if (subtype.size() > kMaxSubtype || subtype == "HandlerManager1" ||
            g_dbus_is_name(bus_name_of(subtype).c_str()) == FALSE ||
            g_variant_is_object_path(fmt::format("{}/{}", kTcmuPath, subtype).c_str()) == FALSE) {
            return failure(EINVAL,
                           fmt::format("'{}' is no subtype: letters, digits and '_', at most {}, "
                                       "no digit first",
                                       subtype, kMaxSubtype));
        }
        if (config_desc.size() > kMaxConfigDesc) {
            return failure(EINVAL, fmt::format("the description has {} bytes, more than {}",
                                               config_desc.size(), kMaxConfigDesc));
        }
        const auto own = parts_.own_.list();
        if (std::ranges::find(own, subtype, &host::HandlerInfo::name) != own.end()) {
            return failure(EEXIST, fmt::format("lunkitd itself serves '{}'", subtype));
        }
        if (entries_.contains(subtype)) {
            return failure(EEXIST, fmt::format("'{}' is registered already", subtype));
        }
        if (entries_.size() >= parts_.limits_.handlers) {
            return failure(ENOSPC, fmt::format("{} handlers are registered, which is all there is "
                                               "room for",
                                               entries_.size()));
        }
        return {};
    }

    /// Answers when the bus has said who owns the name.
    void add(GDBusMethodInvocation* invocation, const std::string& subtype,
             std::string config_desc) {
        if (const Status status = examine(subtype, config_desc); !status) {
            answer(invocation, status);
            return;
        }
        Entry& entry = entries_[subtype];
        entry.config_desc = std::move(config_desc);
        entry.owner = g_dbus_method_invocation_get_sender(invocation);
        entry.waits = invocation;
        entry.watch = g_bus_watch_name_on_connection(
            connection_, bus_name_of(subtype).c_str(), G_BUS_NAME_WATCHER_FLAGS_NONE,
            &Registry::on_appeared, &Registry::on_vanished, new Watched{weak_from_this(), subtype},
            [](gpointer owned) { delete static_cast<Watched*>(owned); });
    }

    static void on_appeared(GDBusConnection* /*connection*/, const gchar* /*name*/,
                            const gchar* owner, gpointer data) {
        const Watched watched = *static_cast<Watched*>(data);
        if (const auto self = watched.registry.lock()) {
            self->appeared(watched.subtype, owner);
        }
    }
    static void on_vanished(GDBusConnection* /*connection*/, const gchar* /*name*/, gpointer data) {
        const Watched watched = *static_cast<Watched*>(data);
        if (const auto self = watched.registry.lock()) {
            self->drop(watched.subtype,
                       fmt::format("nobody owns {}", bus_name_of(watched.subtype)));
        }
    }

    void appeared(const std::string& subtype, const std::string& owner) {
        const auto found = entries_.find(subtype);
        if (found == entries_.end() || found->second.waits == nullptr) {
            return;
        }
        if (owner != found->second.owner) {
            drop(subtype, fmt::format("another program owns {}", bus_name_of(subtype)));
            return;
        }
        Entry& entry = found->second;
        const Status shown = parts_.objects_.show(
            subtype, entry.config_desc,
            [weak = weak_from_this(), subtype](const std::string& config, bool syntax_only,
                                               ConfigCheck::Done done) {
                Status text = check_config_string(config);
                const auto self = weak.lock();
                if (!self || !text || syntax_only) {
                    done(self ? std::move(text) : failure(ECANCELED, "the handler has gone"));
                    return;
                }
                self->ask(subtype, config, std::move(done));
            });
        if (!shown) {
            drop(subtype, shown.error().what);
            return;
        }
        core::log(core::LogLevel::kNotice, {}, "handler '{}' of another program is registered",
                  subtype);
        answer(std::exchange(entry.waits, nullptr), {});
    }

    void drop(const std::string& subtype, const std::string& why) {
        auto node = entries_.extract(subtype);
        if (node.empty()) {
            return;
        }
        const Entry& entry = node.mapped();
        if (entry.waits != nullptr) {
            answer(entry.waits, failure(ENOENT, why));
        } else {
            parts_.objects_.hide(subtype);
            core::log(core::LogLevel::kNotice, {}, "handler '{}' is gone: {}", subtype, why);
        }
        g_bus_unwatch_name(entry.watch);
    }

    /// Has the program itself check `config`.
    void ask(const std::string& subtype, const std::string& config, ConfigCheck::Done done) {
        const auto found = entries_.find(subtype);
        if (found == entries_.end()) {
            done(failure(ECANCELED, "the handler has gone"));
            return;
        }
        const std::string path = fmt::format("{}/{}", kHandlerManagerPath, subtype);
        g_dbus_connection_call(
            connection_, found->second.owner.c_str(), path.c_str(), kBusName, "CheckConfig",
            g_variant_new("(@s)", string_variant(config)), G_VARIANT_TYPE("(bs)"),
            G_DBUS_CALL_FLAGS_NO_AUTO_START, static_cast<int>(parts_.limits_.check.count()),
            nullptr, run_finish,
            finish_with([subtype, done = std::move(done)](GObject* source,
                                                          GAsyncResult* result) mutable {
                ErrorSlot error;
                const VariantPtr reply(g_dbus_connection_call_finish(
                    reinterpret_cast<GDBusConnection*>(source), result, error.out()));
                if (!reply) {
                    done(failure(EIO, fmt::format("the program that serves '{}' does not say: {}",
                                                  subtype, error.message())));
                    return;
                }
                gboolean valid = FALSE;
                const gchar* message = nullptr;
                g_variant_get(reply.get(), "(b&s)", &valid, &message);
                done(valid != FALSE ? Status() : failure(EINVAL, message));
            }));
    }

    ExternalHandlers& parts_;
    GDBusConnection* const connection_;  // is there as long as this
    ObjectPtr<LunkitDbusTcmuHandlerManager> manager_;
    std::map<std::string, Entry, std::less<>> entries_;
};

ExternalHandlers::ExternalHandlers(HandlerObjects& objects, const HandlerCatalog& own,
                                   uid_t trusted, Limits limits)
    : objects_(objects), own_(own), trusted_(trusted), limits_(limits) {}

ExternalHandlers::~ExternalHandlers() {
    ExternalHandlers::detach();
}

Status ExternalHandlers::attach(GDBusConnection* connection) {
    registry_ = std::make_shared<Registry>(*this, connection);
    return registry_->begin();
}

void ExternalHandlers::detach() {
    registry_.reset();
}

}  // namespace lunkit::control
