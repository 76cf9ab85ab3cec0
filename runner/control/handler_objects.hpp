// SPDX-License-Identifier: Apache-2.0
// HandlerObjects: what targetcli sees. It asks the ObjectManager for all objects, makes a backstore
// `user:<last path component>` of each, takes ConfigDesc from that answer, and calls CheckConfig
// before it creates a device. So nothing else may stand under this ObjectManager.
#pragma once

#include <sys/types.h>

#include <memory>

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

  private:
    struct Shared;
    const HandlerCatalog& handlers_;
    std::shared_ptr<Shared> shared_;
    ObjectPtr<GDBusObjectManagerServer> server_;
};

}  // namespace lunkit::control
