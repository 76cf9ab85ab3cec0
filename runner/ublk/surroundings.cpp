// SPDX-License-Identifier: Apache-2.0
// What the service needs of the world, as it is.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "ublk/device_name.hpp"
#include "ublk/ublk_service.hpp"

namespace lunkit::ublk {

namespace {

/// By their character devices, which are there from ADD_DEV to DEL_DEV.
std::vector<std::uint32_t> find_devices() {
    constexpr std::string_view kPrefix = "ublkc";
    std::vector<std::uint32_t> found;
    std::error_code error;  // a folder that cannot be read has none
    for (const auto& entry : std::filesystem::directory_iterator("/dev", error)) {
        const std::string name = entry.path().filename();
        if (!name.starts_with(kPrefix)) {
            continue;
        }
        if (const auto dev_id = parse_device_name(std::string_view(name).substr(kPrefix.size()))) {
            found.push_back(*dev_id);
        }
    }
    return found;
}

}  // namespace

Surroundings Surroundings::of(core::Runtime& runtime, ControlProcess control) {
    const auto process = std::make_shared<const ControlProcess>(std::move(control));
    Surroundings world;
    world.find_kernel = [] { return find_ublk(); };
    world.find_devices = [] { return ublk::find_devices(); };
    world.start_queues = [&settings = runtime.settings] { return start_device_queues(settings); };
    world.open_control = [process] {
        return ControlDevice::open([process](std::uint32_t op, std::span<const std::byte> payload) {
            return process->command(op, payload);
        });
    };
    world.open_chars = [](std::uint32_t dev_id) {
        return CharDevice::open(fmt::format("/dev/ublkc{}", dev_id));
    };
    world.open_block = [&handlers = runtime.handlers](host::OpenDevice request) {
        return handlers.open(std::move(request));
    };
    world.check_unused = [process](const std::string& node) { return process->check_unused(node); };
    world.write_back = [process](const std::string& node) { return process->write_back(node); };
    world.limit_silence = [process](const std::string& node) {
        return process->limit_silence(node);
    };
    return world;
}

}  // namespace lunkit::ublk
