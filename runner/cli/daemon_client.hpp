// SPDX-License-Identifier: Apache-2.0
// DaemonClient: lunkitd's management interface (org.lunkit.Manager1), in JSON.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::cli {

/// How long to wait for the daemon.
struct Patience {
    std::chrono::milliseconds answer = std::chrono::seconds(30);  ///< to what it knows by heart
    /// While it makes or removes a device: handlers open storage, and a device that goes waits for
    /// its requests. What takes longer has met storage that hangs.
    std::chrono::milliseconds device = std::chrono::minutes(5);
};

/// Every call blocks for as long as the daemon takes, within `Patience`. Errors are for people:
/// ENOTCONN: no daemon (and how to start it); EACCES: not root; ETIMEDOUT: the daemon goes on
/// with it; ECONNRESET: it ended before it answered; EREMOTEIO: what the daemon says.
class DaemonClient {
  public:
    /// To the daemon on the system bus (DBUS_SYSTEM_BUS_ADDRESS, if set). Does not start it.
    static Result<DaemonClient> connect(Patience patience = Patience());

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
    /// What add() makes; what is not given is the daemon's to choose.
    struct NewDevice {
        std::string config;
        std::optional<std::uint32_t> number;
        std::uint64_t size = 0;        ///< bytes; 0: not given
        std::uint32_t block_size = 0;  ///< bytes; 0: not given
        bool read_only = false;
        std::uint32_t queues = 0;  ///< 0: not given
        // Of a dm-user target.
        std::string name = {};       ///< of its control node
        std::uint64_t start = 0;     ///< sectors of 512 bytes; 0: not given
        std::uint32_t channels = 0;  ///< 0: not given
    };
    /// The node of a device that `front_end` ("ublk", "dm-user") serves from now on. Takes as long
    /// as the handler does.
    [[nodiscard]] Result<nlohmann::json> add(const char* front_end, const NewDevice& wanted) const;
    /// ENOENT: there is none.
    [[nodiscard]] Result<nlohmann::json> remove(const char* front_end, const std::string& name,
                                                bool force) const;
    /// `size`: bytes. ENOENT: there is none.
    [[nodiscard]] Result<nlohmann::json> ublk_resize(const std::string& name, std::uint64_t size,
                                                     bool recreate) const;
    /// Of a dirty log, in order: array of {first, count, clean, in_sync}. ENOENT: there is none.
    [[nodiscard]] Result<nlohmann::json> regions(const std::string& uuid) const;
    /// {"level": string, "devices": {name: level}}
    [[nodiscard]] Result<nlohmann::json> log_levels() const;
    /// Of a device, or (empty) of the daemon; an empty level: as the settings say.
    [[nodiscard]] Result<nlohmann::json> set_log_level(const std::string& device,
                                                       const std::string& level) const;
    /// Begins to trace a device: a socket of messages, each some core::TraceRecords. ENOTSUP: the
    /// daemon makes other ones.
    [[nodiscard]] Result<UniqueFd> trace(const std::string& front_end,
                                         const std::string& name) const;
    /// Array of strings: what needs a restart.
    [[nodiscard]] Result<nlohmann::json> reload() const;
    [[nodiscard]] Result<nlohmann::json> version() const;

  private:
    struct Connection;
    explicit DaemonClient(std::unique_ptr<Connection> connection);
    std::unique_ptr<Connection> connection_;
};

}  // namespace lunkit::cli
