// SPDX-License-Identifier: Apache-2.0
// LunkitObject: management at /org/lunkit, for root only; what the lunkit tool talks to.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/bus_object.hpp"
#include "control/config_check.hpp"
#include "control/glib_handle.hpp"
#include "control/handler_catalog.hpp"
#include "core/log.hpp"
#include "core/service.hpp"
#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::control {

/// What management can ask of the daemon. Loop thread; nothing blocks.
class Daemon {
  public:
    using Reloaded = std::move_only_function<void(Result<std::vector<std::string>>)>;

    virtual ~Daemon() = default;
    [[nodiscard]] virtual std::vector<core::DeviceStatus> devices() const = 0;
    /// Reads the settings again; `done` gets what needs a restart, or what is wrong with the file.
    virtual void reload(Reloaded done) = 0;
    /// See core::Service; `done` comes from the loop. ENODEV: no such front end is served.
    virtual void add_device(const std::string& front_end, core::NewDevice wanted,
                            core::Service::Added done) = 0;
    virtual void remove_device(const std::string& front_end, const std::string& name, bool force,
                               core::Service::Removed done) = 0;
    virtual void resize_device(const std::string& front_end, const std::string& name,
                               std::uint64_t size, bool recreate, core::Service::Resized done) = 0;
    virtual void list_regions(const std::string& front_end, const std::string& name,
                              core::Service::Regions done) = 0;
    /// Of one device, or (empty) of the daemon; nothing: as the settings say. Until a reload.
    /// ENOENT: there is no such device.
    virtual Status set_log_level(const std::string& device,
                                 std::optional<core::LogLevel> level) = 0;
    /// Begins to trace a device and gives the watcher's end, see TraceStreams. ENOENT: there is no
    /// such device. ENODEV: no such front end is served.
    virtual Result<UniqueFd> trace(const std::string& front_end, const std::string& name) = 0;

    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

  protected:
    Daemon() = default;
};

[[nodiscard]] const char* to_text(core::DeviceState state);

class LunkitObject : public BusObject {
  public:
    /// Callers other than `trusted` are refused. The references outlive it.
    LunkitObject(Daemon& daemon, const HandlerCatalog& handlers, ConfigCheck& check, uid_t trusted);
    ~LunkitObject() override;
    Status attach(GDBusConnection* connection) override;
    void detach() override;

  private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
    ObjectPtr<GDBusInterfaceSkeleton> skeleton_;
};

}  // namespace lunkit::control
