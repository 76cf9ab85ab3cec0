// SPDX-License-Identifier: Apache-2.0
// What the kernel tells about TCMU devices, and the way back. The kernel side of an event waits,
// uninterruptibly and without a limit, until somebody answers it; so each event that is ours gets
// exactly one answer, of its own kind (an answer of another kind would leave it waiting for good).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "lunkit/result.hpp"

namespace lunkit::tcmu {

struct DeviceEvent {
    enum class Kind : std::uint8_t { kAdded, kRemoved, kReconfig };
    struct NewConfig {
        std::string config;  ///< "<handler>/<rest>"
    };
    struct NewSize {
        std::uint64_t bytes;
    };
    struct NewWriteCache {
        bool enabled;
    };

    Kind kind = Kind::kAdded;
    std::string name;  ///< "tcm-user/<hba>/<dev>/<config>"
    std::uint32_t minor = 0;
    /// Absent before Linux 4.13: no answer is expected then.
    std::optional<std::uint32_t> device_id;
    /// kReconfig: what shall change; nothing if it is something unknown.
    std::variant<std::monostate, NewConfig, NewSize, NewWriteCache> change;
};

/// Where events come from and answers go: the kernel's netlink, or a test. Control thread only.
class EventChannel {
  public:
    virtual ~EventChannel() = default;
    /// Readable when there are events.
    [[nodiscard]] virtual int fd() const = 0;
    /// Everything that is there, without waiting. The error: the channel is dead.
    virtual Result<std::vector<DeviceEvent>> receive() = 0;
    /// Answers an event: `result` is 0 or -errno. ENODEV: nobody waits (any more).
    virtual Status answer(DeviceEvent::Kind kind, std::uint32_t device_id, int result) = 0;
    /// Whether the kernel shall wait for answers (SET_FEATURES).
    virtual Status expect_answers(bool wanted) = 0;

    EventChannel(const EventChannel&) = delete;
    EventChannel& operator=(const EventChannel&) = delete;

  protected:
    EventChannel() = default;
};

/// The answer that is due for one event. It can be given once; dropped without one it gives -EIO.
/// Control thread only; the channel outlives it.
class PendingReply {
  public:
    PendingReply() = default;
    PendingReply(EventChannel& channel, DeviceEvent::Kind kind, std::uint32_t device_id)
        : channel_(&channel), kind_(kind), device_id_(device_id) {}
    PendingReply(PendingReply&& other) noexcept
        : channel_(std::exchange(other.channel_, nullptr)),
          kind_(other.kind_),
          device_id_(other.device_id_) {}
    PendingReply& operator=(PendingReply&& other) noexcept;
    PendingReply(const PendingReply&) = delete;
    PendingReply& operator=(const PendingReply&) = delete;
    ~PendingReply();

    /// Still to be answered.
    explicit operator bool() const { return channel_ != nullptr; }
    [[nodiscard]] DeviceEvent::Kind kind() const { return kind_; }

    /// 0, or -errno; anything else becomes -EIO (a positive number would be taken for the result of
    /// the user's write). True if the kernel was waiting for it (it need not be: then nothing
    /// happens). A second call does nothing.
    bool answer(int result);
    /// Nobody waits for it, or somebody else answers it: it shall not be given.
    void forget() { channel_ = nullptr; }

  private:
    EventChannel* channel_ = nullptr;
    DeviceEvent::Kind kind_ = DeviceEvent::Kind::kAdded;
    std::uint32_t device_id_ = 0;
};

}  // namespace lunkit::tcmu
