// SPDX-License-Identifier: Apache-2.0
#include "control/lunkit_object.hpp"

#include <fmt/format.h>
#include <gio/gunixfdlist.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "control/bus_names.hpp"
#include "control/caller.hpp"
#include "control/settings_table.hpp"
#include "core/number_text.hpp"
#include "core/trace.hpp"
#include "lunkit-manager-dbus.h"
#include "lunkit/try.hpp"

namespace lunkit::control {

struct LunkitObject::Shared {
    Daemon& daemon;
    const HandlerCatalog& handlers;
    ConfigCheck& check;
    const uid_t trusted;
};

namespace {

/// Builds one a{sv}.
class Dictionary {
  public:
    Dictionary() { g_variant_builder_init(&builder_, G_VARIANT_TYPE_VARDICT); }
    Dictionary& add(const char* key, const std::string& value) {
        return add(key, string_variant(value));
    }
    Dictionary& add(const char* key, std::uint64_t value) {
        return add(key, g_variant_new_uint64(value));
    }
    Dictionary& add(const char* key, std::uint32_t value) {
        return add(key, g_variant_new_uint32(value));
    }
    Dictionary& add(const char* key, bool value) {
        return add(key, g_variant_new_boolean(value ? TRUE : FALSE));
    }
    Dictionary& add(const char* key, GVariant* value) {
        g_variant_builder_add(&builder_, "{sv}", key, value);
        return *this;
    }
    [[nodiscard]] GVariant* end() { return g_variant_builder_end(&builder_); }

  private:
    GVariantBuilder builder_{};
};

GVariant* to_variant(const core::LatencySummary& latency) {
    GVariantBuilder within{};
    g_variant_builder_init(&within, G_VARIANT_TYPE("at"));
    for (const std::uint64_t count : latency.within) {
        g_variant_builder_add(&within, "t", count);
    }
    return Dictionary()
        .add("count", latency.count)
        .add("sum_ns", latency.sum)
        .add("p50_ns", latency.p50)
        .add("p90_ns", latency.p90)
        .add("p99_ns", latency.p99)
        .add("p999_ns", latency.p999)
        .add("max_ns", latency.max)
        .add("within", g_variant_builder_end(&within))
        .end();
}

GVariant* to_variant(const core::DeviceStatus& device, core::CommandClass kind) {
    return to_variant(device.latency[static_cast<std::size_t>(kind)]);
}

GVariant* to_variant(const std::map<std::string, std::uint64_t>& counts) {
    GVariantBuilder builder{};
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{st}"));
    for (const auto& [key, count] : counts) {
        g_variant_builder_add(&builder, "{st}", key.c_str(), count);
    }
    return g_variant_builder_end(&builder);
}

GVariant* to_variant(const core::DeviceStatus& device) {
    return Dictionary()
        .add("front_end", device.front_end)
        .add("name", device.name)
        .add("config", device.config)
        .add("node", device.node)
        .add("state", std::string(to_text(device.state)))
        .add("error", device.error)
        .add("size", device.size)
        .add("block_size", device.block_size)
        .add("read_only", device.read_only)
        .add("write_cache", device.write_cache)
        .add("read_commands", device.read_commands)
        .add("read_bytes", device.read_bytes)
        .add("write_commands", device.write_commands)
        .add("write_bytes", device.write_bytes)
        .add("other_commands", device.other_commands)
        .add("errors", device.errors)
        .add("in_flight", device.in_flight)
        .add("kicks", device.kicks)
        .add("read_latency", to_variant(device, core::CommandClass::kRead))
        .add("write_latency", to_variant(device, core::CommandClass::kWrite))
        .add("other_latency", to_variant(device, core::CommandClass::kOther))
        .add("error_counts", to_variant(device.error_counts))
        .add("region_size", device.region_size)
        .add("regions", device.regions)
        .add("regions_in_sync", device.regions_in_sync)
        .add("regions_dirty", device.regions_dirty)
        .end();
}

GVariant* to_variant(const host::HandlerInfo& handler) {
    return Dictionary()
        .add("name", handler.name)
        .add("description", handler.description)
        .add("config_help", handler.config_help)
        .add("path", handler.path)
        .add("abi_version", handler.abi_version)
        .end();
}

template <typename T>
GVariant* to_reply(const std::vector<T>& items) {
    GVariantBuilder builder{};
    g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
    for (const T& item : items) {
        g_variant_builder_add_value(&builder, to_variant(item));
    }
    return g_variant_new("(@aa{sv})", g_variant_builder_end(&builder));
}

void refuse(GDBusMethodInvocation* invocation) {
    g_dbus_method_invocation_return_error(invocation, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED,
                                          "only root may manage lunkitd");
}

/// Runs `then(shared)` when the caller may; else refuses. `data` is the signal's weak_ptr.
template <typename Shared, typename Then>
gboolean for_root(GDBusMethodInvocation* invocation, gpointer data, Then then) {
    with_caller(invocation, [invocation, weak = *static_cast<std::weak_ptr<Shared>*>(data),
                             then = std::move(then)](std::optional<uid_t> uid) mutable {
        const auto shared = weak.lock();
        if (!shared || uid != shared->trusted) {
            refuse(invocation);
            return;
        }
        then(*shared);
    });
    return TRUE;
}

template <typename Shared>
gboolean on_list_devices(LunkitDbusLunkitManager* /*object*/, GDBusMethodInvocation* invocation,
                         gpointer data) {
    return for_root<Shared>(invocation, data, [invocation](Shared& shared) {
        g_dbus_method_invocation_return_value(invocation, to_reply(shared.daemon.devices()));
    });
}

template <typename Shared>
gboolean on_list_handlers(LunkitDbusLunkitManager* /*object*/, GDBusMethodInvocation* invocation,
                          gpointer data) {
    return for_root<Shared>(invocation, data, [invocation](Shared& shared) {
        g_dbus_method_invocation_return_value(invocation, to_reply(shared.handlers.list()));
    });
}

template <typename Shared>
gboolean on_check_config(LunkitDbusLunkitManager* /*object*/, GDBusMethodInvocation* invocation,
                         const gchar* config, gpointer data) {
    return for_root<Shared>(
        invocation, data, [invocation, wanted = std::string(config)](Shared& shared) {
            shared.check.run(wanted, false, [invocation](const Status& status) {
                const std::string message = status ? std::string() : status.error().what;
                g_dbus_method_invocation_return_value(
                    invocation,
                    g_variant_new("(b@s)", status ? TRUE : FALSE, string_variant(message)));
            });
        });
}

void answer_failure(GDBusMethodInvocation* invocation, const char* name, const Error& error) {
    const VariantPtr message(g_variant_ref_sink(string_variant(error.what)));
    g_dbus_method_invocation_return_dbus_error(invocation, name,
                                               g_variant_get_string(message.get(), nullptr));
}

void answer_reload(GDBusMethodInvocation* invocation,
                   const Result<std::vector<std::string>>& result) {
    if (!result) {
        answer_failure(invocation, kInvalidSettingsError, result.error());
        return;
    }
    GVariantBuilder notes{};
    g_variant_builder_init(&notes, G_VARIANT_TYPE_STRING_ARRAY);
    for (const std::string& note : *result) {
        g_variant_builder_add_value(&notes, string_variant(note));
    }
    g_dbus_method_invocation_return_value(invocation,
                                          g_variant_new("(@as)", g_variant_builder_end(&notes)));
}

template <typename Shared>
gboolean on_reload(LunkitDbusLunkitManager* /*object*/, GDBusMethodInvocation* invocation,
                   gpointer data) {
    return for_root<Shared>(invocation, data, [invocation](Shared& shared) {
        shared.daemon.reload([invocation](const Result<std::vector<std::string>>& result) {
            answer_reload(invocation, result);
        });
    });
}

/// Takes `value` for `field` if it is of its type.
template <typename Field>
bool take_option(GVariant* value, const char* type, Field& field) {
    if (g_variant_is_of_type(value, G_VARIANT_TYPE(type)) == FALSE) {
        return false;
    }
    if constexpr (std::is_same_v<Field, bool>) {
        field = g_variant_get_boolean(value) != FALSE;
    } else if constexpr (std::is_same_v<Field, std::string>) {
        field = g_variant_get_string(value, nullptr);
    } else if constexpr (std::is_same_v<Field, std::uint64_t>) {
        field = g_variant_get_uint64(value);
    } else {
        field = g_variant_get_uint32(value);
    }
    return true;
}

/// As declared devices: offsets are signed to the kernel.
Status check_size(std::uint64_t size) {
    if (size > core::kMostBytes) {
        return failure(EINVAL, fmt::format("{} bytes are more than a device can have", size));
    }
    return {};
}

Result<core::NewDevice> parse_new_device(std::string_view front_end, const gchar* config,
                                         GVariant* options) {
    const bool is_target = front_end == "dm-user";
    core::NewDevice wanted;
    wanted.config = config;
    GVariantIter iter{};
    g_variant_iter_init(&iter, options);
    const gchar* key = nullptr;
    GVariant* value = nullptr;
    while (g_variant_iter_next(&iter, "{&sv}", &key, &value) != FALSE) {
        const VariantPtr owned(value);
        const std::string_view name(key);
        const bool taken =
            (!is_target && name == "number" && take_option(value, "u", wanted.number)) ||
            (name == "size" && take_option(value, "t", wanted.size)) ||
            (!is_target && name == "block_size" && take_option(value, "u", wanted.block_size)) ||
            (!is_target && name == "queues" && take_option(value, "u", wanted.queues)) ||
            (name == "read_only" && take_option(value, "b", wanted.read_only)) ||
            (is_target && name == "name" && take_option(value, "s", wanted.name)) ||
            (is_target && name == "start" && take_option(value, "t", wanted.start_sectors512)) ||
            (is_target && name == "channels" && take_option(value, "u", wanted.channels));
        if (!taken) {
            return failure(EINVAL, "'" + std::string(name) + "' is no option of a new device of " +
                                       std::string(front_end) + ", or of another type");
        }
    }
    CHECK(check_size(wanted.size));
    return wanted;
}

template <typename Shared>
gboolean on_add_device(LunkitDbusLunkitManager* /*object*/, GDBusMethodInvocation* invocation,
                       const gchar* front_end, const gchar* config, GVariant* options,
                       gpointer data) {
    return for_root<Shared>(
        invocation, data,
        [invocation, where = std::string(front_end),
         wanted = parse_new_device(front_end, config, options)](Shared& shared) mutable {
            if (!wanted) {
                answer_failure(invocation, kFailedError, wanted.error());
                return;
            }
            shared.daemon.add_device(
                where, std::move(*wanted), [invocation](const Result<std::string>& node) {
                    if (!node) {
                        answer_failure(invocation, kFailedError, node.error());
                        return;
                    }
                    g_dbus_method_invocation_return_value(
                        invocation, g_variant_new("(@s)", string_variant(*node)));
                });
        });
}

void answer_change(GDBusMethodInvocation* invocation, const Status& status) {
    if (!status) {
        answer_failure(invocation,
                       status.error().code == ENOENT ? kNoSuchDeviceError : kFailedError,
                       status.error());
        return;
    }
    g_dbus_method_invocation_return_value(invocation, nullptr);
}

template <typename Shared>
gboolean on_remove_device(LunkitDbusLunkitManager* /*object*/, GDBusMethodInvocation* invocation,
                          const gchar* front_end, const gchar* name, gboolean force,
                          gpointer data) {
    return for_root<Shared>(invocation, data,
                            [invocation, where = std::string(front_end), device = std::string(name),
                             force](Shared& shared) {
                                shared.daemon.remove_device(where, device, force != FALSE,
                                                            [invocation](const Status& status) {
                                                                answer_change(invocation, status);
                                                            });
                            });
}

template <typename Shared>
gboolean on_resize_device(LunkitDbusLunkitManager* /*object*/, GDBusMethodInvocation* invocation,
                          const gchar* front_end, const gchar* name, guint64 size,
                          gboolean recreate, gpointer data) {
    return for_root<Shared>(invocation, data,
                            [invocation, where = std::string(front_end), device = std::string(name),
                             size, recreate](Shared& shared) {
                                if (const Status fits = check_size(size); !fits) {
                                    answer_change(invocation, fits);
                                    return;
                                }
                                shared.daemon.resize_device(where, device, size, recreate != FALSE,
                                                            [invocation](const Status& status) {
                                                                answer_change(invocation, status);
                                                            });
                            });
}

/// The device that is listed as `shown`, whose own name D-Bus may have no string for. When that
/// can be several, or none: `shown`.
std::string name_of(const Daemon& daemon, const std::string& shown) {
    std::vector<std::string> found;
    for (core::DeviceStatus& device : daemon.devices()) {
        if (device.name == shown) {
            return shown;
        }
        if (valid_utf8(device.name).get() == shown) {
            found.push_back(std::move(device.name));
        }
    }
    return found.size() == 1 ? found.front() : shown;
}

GVariant* to_reply(const std::vector<core::RegionRun>& runs) {
    GVariantBuilder builder{};
    g_variant_builder_init(&builder, G_VARIANT_TYPE("a(ttbb)"));
    for (const core::RegionRun& run : runs) {
        g_variant_builder_add(&builder, "(ttbb)", run.first, run.count, run.clean ? TRUE : FALSE,
                              run.in_sync ? TRUE : FALSE);
    }
    return g_variant_new("(@a(ttbb))", g_variant_builder_end(&builder));
}

template <typename Shared>
gboolean on_list_regions(LunkitDbusLunkitManager* /*object*/, GDBusMethodInvocation* invocation,
                         const gchar* front_end, const gchar* name, gpointer data) {
    return for_root<Shared>(
        invocation, data,
        [invocation, where = std::string(front_end), log = std::string(name)](Shared& shared) {
            shared.daemon.list_regions(
                where, name_of(shared.daemon, log),
                [invocation](const Result<std::vector<core::RegionRun>>& runs) {
                    if (!runs) {
                        answer_change(invocation, std::unexpected(runs.error()));
                        return;
                    }
                    g_dbus_method_invocation_return_value(invocation, to_reply(*runs));
                });
        });
}

/// "": nothing, which is no error.
Result<std::optional<core::LogLevel>> parse_wanted_level(const std::string& text) {
    if (text.empty()) {
        return std::nullopt;
    }
    const auto level = parse_log_level(text);
    if (!level) {
        return failure(EINVAL, "no log level: " + level.error().what);
    }
    return *level;
}

template <typename Shared>
gboolean on_set_log_level(LunkitDbusLunkitManager* /*object*/, GDBusMethodInvocation* invocation,
                          const gchar* device, const gchar* level, gpointer data) {
    return for_root<Shared>(invocation, data,
                            [invocation, name = std::string(device),
                             wanted = parse_wanted_level(level)](Shared& shared) {
                                answer_change(invocation,
                                              wanted ? shared.daemon.set_log_level(
                                                           name_of(shared.daemon, name), *wanted)
                                                     : std::unexpected(wanted.error()));
                            });
}

template <typename Shared>
gboolean on_list_log_levels(LunkitDbusLunkitManager* /*object*/, GDBusMethodInvocation* invocation,
                            gpointer data) {
    return for_root<Shared>(invocation, data, [invocation](Shared& /*shared*/) {
        const core::LogLevels levels = core::log_levels();
        GVariantBuilder devices{};
        g_variant_builder_init(&devices, G_VARIANT_TYPE("a{ss}"));
        for (const auto& [device, level] : levels.devices) {
            g_variant_builder_add(&devices, "{@s@s}", string_variant(device),
                                  string_variant(log_level_name(level)));
        }
        g_dbus_method_invocation_return_value(
            invocation, g_variant_new("(@s@a{ss})", string_variant(log_level_name(levels.daemon)),
                                      g_variant_builder_end(&devices)));
    });
}

template <typename Shared>
gboolean on_trace(LunkitDbusLunkitManager* /*object*/, GDBusMethodInvocation* invocation,
                  GUnixFDList* /*descriptors*/, const gchar* front_end, const gchar* name,
                  gpointer data) {
    return for_root<Shared>(
        invocation, data,
        [invocation, where = std::string(front_end), device = std::string(name)](Shared& shared) {
            const auto watcher = shared.daemon.trace(where, name_of(shared.daemon, device));
            if (!watcher) {
                answer_change(invocation, std::unexpected(watcher.error()));
                return;
            }
            const ObjectPtr<GUnixFDList> list(g_unix_fd_list_new());
            ErrorSlot error;
            if (g_unix_fd_list_append(list.get(), watcher->get(), error.out()) < 0) {
                answer_change(invocation, failure(EMFILE, error.message()));
                return;
            }
            g_dbus_method_invocation_return_value_with_unix_fd_list(
                invocation, g_variant_new("(hu)", 0, core::TraceRecord::kVersion), list.get());
        });
}

template <typename Shared, typename Handler>
void connect(gpointer skeleton, const char* signal, Handler handler,
             const std::shared_ptr<Shared>& shared) {
    g_signal_connect_data(
        skeleton, signal, G_CALLBACK(handler), new std::weak_ptr<Shared>(shared),
        [](gpointer data, GClosure*) { delete static_cast<std::weak_ptr<Shared>*>(data); },
        GConnectFlags{});
}

}  // namespace

const char* to_text(core::DeviceState state) {
    switch (state) {
        case core::DeviceState::kOpening:
            return "opening";
        case core::DeviceState::kRunning:
            return "running";
        case core::DeviceState::kDraining:
            return "draining";
        case core::DeviceState::kFailed:
            return "failed";
    }
    return "unknown";
}

LunkitObject::LunkitObject(Daemon& daemon, const HandlerCatalog& handlers, ConfigCheck& check,
                           uid_t trusted)
    : shared_(std::make_shared<Shared>(Shared{daemon, handlers, check, trusted})) {}

LunkitObject::~LunkitObject() {
    LunkitObject::detach();
}

Status LunkitObject::attach(GDBusConnection* connection) {
    LunkitDbusLunkitManager* const manager = lunkit_dbus_lunkit_manager_skeleton_new();
    skeleton_.reset(reinterpret_cast<GDBusInterfaceSkeleton*>(manager));
    lunkit_dbus_lunkit_manager_set_version(manager, LUNKIT_VERSION);
    connect(manager, "handle-list-devices", &on_list_devices<Shared>, shared_);
    connect(manager, "handle-list-handlers", &on_list_handlers<Shared>, shared_);
    connect(manager, "handle-check-config", &on_check_config<Shared>, shared_);
    connect(manager, "handle-add-device", &on_add_device<Shared>, shared_);
    connect(manager, "handle-remove-device", &on_remove_device<Shared>, shared_);
    connect(manager, "handle-resize-device", &on_resize_device<Shared>, shared_);
    connect(manager, "handle-list-regions", &on_list_regions<Shared>, shared_);
    connect(manager, "handle-set-log-level", &on_set_log_level<Shared>, shared_);
    connect(manager, "handle-list-log-levels", &on_list_log_levels<Shared>, shared_);
    connect(manager, "handle-trace", &on_trace<Shared>, shared_);
    connect(manager, "handle-reload", &on_reload<Shared>, shared_);
    ErrorSlot error;
    if (g_dbus_interface_skeleton_export(skeleton_.get(), connection, kManagerPath, error.out()) ==
        FALSE) {
        return failure(EIO, error.message());
    }
    return {};
}

void LunkitObject::detach() {
    if (skeleton_) {
        g_dbus_interface_skeleton_unexport(skeleton_.get());
        skeleton_.reset();
    }
}

}  // namespace lunkit::control
