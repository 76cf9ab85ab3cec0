// SPDX-License-Identifier: Apache-2.0
// HandlerRegistry: the plugins that were found, and the way from a configuration string to an open
// BlockDevice, with its filters in front. Loaded once at start; never unloaded (no dlclose: frames
// and statics may live to the end). Outlives its devices. Any thread, except load_directory() and
// load().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/device_label.hpp"
#include "lunkit/block_device.hpp"
#include "lunkit/facts.hpp"
#include "lunkit/handler.h"
#include "lunkit/queue.hpp"
#include "lunkit/result.hpp"

namespace lunkit::host {

struct HandlerInfo {
    std::string name;
    std::string description;
    std::string config_help;
    std::string path;  ///< of the plugin
    std::uint32_t abi_version = 0;
};

/// What to open, and as what.
struct OpenDevice {
    std::string config;      ///< "<handler>/<rest>"
    std::string name;        ///< the device, for messages
    std::uint64_t size = 0;  ///< bytes wanted; 0 = as large as the storage is
    std::uint32_t block_size = 512;
    bool read_only = false;
    bool take_over = false;
    /// Any thread: the storage has another size now.
    std::function<void(std::uint64_t size)> size_changed;
    /// Any thread, when the device is closed: a successor will open it with take_over. Empty: no.
    std::function<bool()> handing_over;
    bool zones = false;  ///< the front end can serve a zoned device
    /// What messages call the device once it is known, instead of `name`. May be null.
    std::shared_ptr<const LateName> late_name = {};
};

/// How closely to look at storage.
enum class Inspection : std::uint8_t { kDescribe, kVerify, kRepairLeaks };

/// Whether handlers may be loaded from `directory`: it is there, and only root can change it where
/// this is root.
Status check_handler_directory(const std::string& directory);

class HandlerRegistry {
  public:
    HandlerRegistry();
    HandlerRegistry(const HandlerRegistry&) = delete;
    HandlerRegistry& operator=(const HandlerRegistry&) = delete;
    HandlerRegistry(HandlerRegistry&&) = delete;
    HandlerRegistry& operator=(HandlerRegistry&&) = delete;
    ~HandlerRegistry();

    /// Loads every handler_*.so of `directory`. A plugin that does not load, or wants a newer ABI,
    /// is logged and left out; the error is for a directory that cannot be read.
    Status load_directory(const std::string& directory);
    /// One plugin; for tests and for load_directory.
    Status load(const std::string& path);

    [[nodiscard]] std::vector<HandlerInfo> list() const;
    /// Splits "<handler>/<rest>" and says whether a handler of that name is here.
    [[nodiscard]] bool knows(std::string_view config) const;

    /// Worker thread; blocks. What is wrong with `config` ("<handler>/<rest>"), as a sentence.
    [[nodiscard]] Status check_config(const std::string& config, bool syntax_only) const;
    /// What the handler of `config` tells about its storage. Any thread but that of `queue`, which
    /// is running; blocks. ENOTSUP: the handler has nothing to tell.
    [[nodiscard]] Result<Facts> inspect(const std::string& config, Inspection how,
                                        Queue& queue) const;
    /// Worker thread; blocks. The device checks bounds, alignment and read-only and emulates what
    /// the handler lacks (see plugin_device.hpp). Closing it (the destructor) blocks as well.
    [[nodiscard]] Result<std::unique_ptr<BlockDevice>> open(OpenDevice request) const;

  private:
    struct Plugin;
    [[nodiscard]] const Plugin* find(std::string_view config, std::string_view* rest) const;
    [[nodiscard]] std::unexpected<Error> unknown(std::string_view config) const;
    std::vector<std::unique_ptr<Plugin>> plugins_;
};

}  // namespace lunkit::host
