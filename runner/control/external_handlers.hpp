// SPDX-License-Identifier: Apache-2.0
// ExternalHandlers: subtypes that other programs serve, as tcmu-runner lets them be registered.
// targetcli sees them beside our own, and what it asks of them is passed on. Their devices are not
// our business: such a program hears of them from the kernel itself, and the daemon leaves them to
// it (foreign_subtypes). A program that leaves the bus takes its subtypes along.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>

#include "control/bus_object.hpp"
#include "control/handler_catalog.hpp"
#include "control/handler_objects.hpp"

namespace lunkit::control {

class ExternalHandlers : public BusObject {
  public:
    struct Limits {
        std::chrono::milliseconds check{10'000};  ///< for a program to answer within
        std::size_t handlers = 64;
    };
    /// Only `trusted` may register. `objects` is attached before it; the references outlive it.
    ExternalHandlers(HandlerObjects& objects, const HandlerCatalog& own, uid_t trusted,
                     Limits limits);
    ~ExternalHandlers() override;
    Status attach(GDBusConnection* connection) override;
    void detach() override;

  private:
    class Registry;
    HandlerObjects& objects_;
    const HandlerCatalog& own_;
    const uid_t trusted_;
    const Limits limits_;
    std::shared_ptr<Registry> registry_;  ///< of a connection
};

}  // namespace lunkit::control
