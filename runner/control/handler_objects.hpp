// SPDX-License-Identifier: Apache-2.0
// HandlerObjects: what targetcli sees. It asks the ObjectManager for all objects, makes a backstore
// `user:<last path component>` of each, takes ConfigDesc from that answer, and calls CheckConfig
// before it creates a device. So nothing else may stand under this ObjectManager.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include "control/bus_object.hpp"
#include "control/config_check.hpp"
#include "control/glib_handle.hpp"
#include "control/handler_catalog.hpp"

namespace lunkit::control {

class HandlerObjects : public BusObject {
  public:
    /// Callers other than `trusted` get their configuration's syntax checked and learn nothing
    /// about files. The references outlive it.
    HandlerObjects(const HandlerCatalog& handlers, ConfigCheck& check, uid_t trusted);
    ~HandlerObjects() override;
    Status attach(GDBusConnection* connection) override;
    void detach() override;

    /// Checks a "<subtype>/<rest>"; `done` comes from the loop.
    using Check =
        std::function<void(const std::string& config, bool syntax_only, ConfigCheck::Done done)>;
    /// One more object, of a subtype that has none yet, until hide() or detach(). Only while
    /// attached. EINVAL: D-Bus does not take the name.
    Status show(const std::string& subtype, const std::string& config_desc, Check check);
    void hide(const std::string& subtype);

  private:
    const HandlerCatalog& handlers_;
    ConfigCheck& check_;
    const uid_t trusted_;
    ObjectPtr<GDBusObjectManagerServer> server_;
};

}  // namespace lunkit::control
