// SPDX-License-Identifier: Apache-2.0
// DrainedMarker: what a daemon that stopped in good order leaves for its successor, one small file
// per device: <run_dir>/tcmu/uio<N>.drained. It says that nothing of the device was in flight when
// the ring's tail was at this place, so that the successor may go on there without a reset of the
// ring. Without one, a ring that is not empty holds commands of unknown state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lunkit/result.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::tcmu {

struct DrainedMarker {
    std::string name;             ///< "user_<hba>/<dev>"
    std::uint32_t device_id = 0;  ///< tells a device from a later one of the same name
    std::uint32_t tail = 0;       ///< cmd_tail

    bool operator==(const DrainedMarker&) const = default;
    [[nodiscard]] std::string to_text() const;
    static std::optional<DrainedMarker> parse(std::string_view text);
};

/// The folder of the markers: ours alone (mode 0700), and no link is followed in it. Any thread.
class MarkerFolder {
  public:
    /// Makes <run_dir>/tcmu where it is missing. An error: it belongs to somebody else, is a link,
    /// others may write there, ...
    static Result<MarkerFolder> open(const std::string& run_dir);

    /// Replaces what was there; complete or not there at all.
    Status write(std::uint32_t minor, const DrainedMarker& marker) const;
    /// Reads and removes it: whatever happens next, it is no longer true. Nothing if there is none
    /// that can be understood.
    std::optional<DrainedMarker> take(std::uint32_t minor) const;

  private:
    UniqueFd folder_;
};

}  // namespace lunkit::tcmu
