// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gio/gio.h>

#include "lunkit/result.hpp"

namespace lunkit::control {

/// Something that is shown on the bus. Loop thread.
class BusObject {
  public:
    virtual ~BusObject() = default;
    /// On a new connection, before the name is asked for: who finds the name finds the object.
    virtual Status attach(GDBusConnection* connection) = 0;
    /// The connection is lost or given up. Calls still open may answer into the void.
    virtual void detach() = 0;

    BusObject(const BusObject&) = delete;
    BusObject& operator=(const BusObject&) = delete;

  protected:
    BusObject() = default;
};

}  // namespace lunkit::control
