// SPDX-License-Identifier: Apache-2.0
#include "dm_user/control_node.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <span>
#include <system_error>
#include <utility>

#include "core/dm_user_name.hpp"
#include "core/kernel_module.hpp"
#include "core/system_failure.hpp"
#include "lunkit/try.hpp"

namespace lunkit::dm_user {

namespace {

Result<std::size_t> transferred(ssize_t count, const char* what) {
    if (count < 0) {
        return core::system_failure(what);
    }
    return static_cast<std::size_t>(count);
}

class NodeChannel final : public Channel {
  public:
    explicit NodeChannel(UniqueFd fd) : fd_(std::move(fd)) {}
    Result<std::size_t> read(std::span<std::byte> room) override {
        return transferred(::read(fd_.get(), room.data(), room.size()),
                           "cannot read from the control node");
    }
    Result<std::size_t> write(std::span<const std::byte> header,
                              std::span<const std::byte> payload) override {
        // writev() does not write through them.
        const auto piece = [](std::span<const std::byte> bytes) {
            return iovec{const_cast<std::byte*>(bytes.data()), bytes.size()};
        };
        const std::array pieces = {piece(header), piece(payload)};
        return transferred(::writev(fd_.get(), pieces.data(), pieces.size()),
                           "cannot write to the control node");
    }

  private:
    const UniqueFd fd_;
};

}  // namespace

Status find_dm_user() {
    constexpr const char* kModule = "dm_user";
    if (::access("/dev/dm-user", F_OK) == 0) {
        return {};
    }
    const Status found = core::find_kernel_module(kModule);
    return found ? found
                 : failure(ENODEV, fmt::format("this kernel has no dm-user ({}): {}; it is part of "
                                               "Android's kernels, and of no distribution's",
                                               kModule, found.error().what));
}

Result<core::FileIdentity> find_control_node(const std::string& name) {
    const std::string node = core::dm_user_node(name);
    struct stat status{};
    if (::stat(node.c_str(), &status) != 0) {
        if (errno == ENOENT) {
            return failure(ENOENT, fmt::format("there is no {}: load a table first that names it "
                                               "(dmsetup create DEVICE --table '0 SECTORS user 0 "
                                               "SECTORS {}')",
                                               node, name));
        }
        return core::system_failure(node);
    }
    if (!S_ISCHR(status.st_mode)) {
        return failure(EINVAL, node + " is no control node: it is no character device");
    }
    return core::FileIdentity::of(status);
}

Result<core::FileIdentity> identity_of(const UniqueFd& node) {
    struct stat status{};
    if (::fstat(node.get(), &status) != 0) {
        const int error = errno;
        return failure(error, std::generic_category().message(error));
    }
    return core::FileIdentity::of(status);
}

Result<std::unique_ptr<Channel>> open_control_node(const std::string& name,
                                                   const core::FileIdentity& node) {
    TRY(UniqueFd fd, hold_control_node(name));
    TRY(const core::FileIdentity opened, identity_of(fd));
    if (opened != node) {
        return failure(ENOTBLK, "the target that was " + name + " has gone, another has its name");
    }
    return std::make_unique<NodeChannel>(std::move(fd));
}

Result<UniqueFd> hold_control_node(const std::string& name) {
    const std::string node = core::dm_user_node(name);
    UniqueFd fd(::open(node.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd) {
        return core::system_failure("cannot open " + node);
    }
    return fd;
}

}  // namespace lunkit::dm_user
