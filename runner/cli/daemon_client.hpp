// SPDX-License-Identifier: Apache-2.0
// DaemonClient: lunkitd's management interface (org.lunkit.Manager1), in JSON.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "lunkit/result.hpp"

namespace lunkit::cli {

/// Every call blocks for as long as the daemon takes, at most half a minute. Errors are for people:
/// ENOTCONN: no daemon (and how to start it); EACCES: not root; ETIMEDOUT; EREMOTEIO: what the
/// daemon says.
class DaemonClient {
  public:
    /// To the daemon on the system bus (DBUS_SYSTEM_BUS_ADDRESS, if set). Does not start it.
    static Result<DaemonClient> connect();

    DaemonClient(DaemonClient&&) noexcept;
    DaemonClient& operator=(DaemonClient&&) noexcept;
    DaemonClient(const DaemonClient&) = delete;
    DaemonClient& operator=(const DaemonClient&) = delete;
    ~DaemonClient();

    /// Arrays of objects, with the keys of the D-Bus interface.
    [[nodiscard]] Result<nlohmann::json> devices() const;
    [[nodiscard]] Result<nlohmann::json> handlers() const;
    /// {"valid": bool, "message": string}
    [[nodiscard]] Result<nlohmann::json> check(const std::string& config) const;
    /// Array of strings: what needs a restart.
    [[nodiscard]] Result<nlohmann::json> reload() const;
    [[nodiscard]] Result<nlohmann::json> version() const;

  private:
    struct Connection;
    explicit DaemonClient(std::unique_ptr<Connection> connection);
    std::unique_ptr<Connection> connection_;
};

}  // namespace lunkit::cli
