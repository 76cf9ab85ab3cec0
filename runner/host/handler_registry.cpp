// SPDX-License-Identifier: Apache-2.0
// A plugin is code that runs as the daemon, so a daemon that is root takes only what root alone can
// have put there.
#include "host/handler_registry.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <variant>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/log.hpp"
#include "core/system_failure.hpp"
#include "filters/filter_config.hpp"
#include "filters/filter_stack.hpp"
#include "host/complaint.hpp"
#include "host/file_policy.hpp"
#include "host/host_table.hpp"
#include "host/plugin_device.hpp"
#include "host/whole_object.hpp"
#include "lunkit/try.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::host {

namespace {

constexpr const char* kEntry = "lunkit_handler_entry";
constexpr std::size_t kLongestName = 64;
constexpr std::size_t kErrorRoom = 512;

Status check_owner(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        return core::system_failure(path);
    }
    if (::geteuid() == 0 && (status.st_uid != 0 || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)) {
        return failure(EPERM, path +
                                  " can be changed by others than root; nothing is loaded "
                                  "from there");
    }
    return {};
}

bool is_name(std::string_view name) {
    return !name.empty() && name.size() <= kLongestName && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    });
}

/// The plugin's table as far as both sides know it; the rest is NULL.
Result<lunkit_handler> copy_table(const lunkit_handler& from, const std::string& path) {
    if (from.abi_version == 0 || from.abi_version > LUNKIT_ABI_VERSION) {
        return failure(ENOEXEC, fmt::format("{} wants version {} of the handler ABI; this daemon "
                                            "has version {}",
                                            path, from.abi_version, LUNKIT_ABI_VERSION));
    }
    if (from.struct_size < offsetof(lunkit_handler, description)) {
        return failure(ENOEXEC, fmt::format("{} gives a table of {} bytes, which holds no name",
                                            path, from.struct_size));
    }
    lunkit_handler table{};
    std::memcpy(&table, &from, std::min<std::size_t>(from.struct_size, sizeof table));
    if (table.name == nullptr || !is_name(table.name)) {
        return failure(ENOEXEC, fmt::format("{}: '{}' is no handler name (letters, digits, _ and "
                                            "-)",
                                            path, table.name == nullptr ? "" : table.name));
    }
    return table;
}

Status check_table(const lunkit_handler& table, const std::string& path) {
    const auto missing = [&](const char* what) {
        return failure(ENOEXEC, fmt::format("{}: handler '{}' has no {}", path, table.name, what));
    };
    if (table.open == nullptr) {
        return missing("open");
    }
    if (table.close == nullptr) {
        return missing("close");
    }
    if (table.read == nullptr && table.read_blocking == nullptr) {
        return missing("read and no read_blocking");
    }
    return {};
}

/// lunkit_inspect.tell: adds to the Facts at `context`.
void collect(void* context, const lunkit_fact* fact) {
    Facts& facts = *static_cast<Facts*>(context);
    const std::string text = fact->text != nullptr ? fact->text : "";
    switch (fact->kind) {
        case LUNKIT_FACT_TEXT:
            facts.push_back({fact->key, text});
            return;
        case LUNKIT_FACT_NUMBER:
            facts.push_back({fact->key, fact->number});
            return;
        case LUNKIT_FACT_FLAG:
            facts.push_back({fact->key, fact->number != 0});
            return;
        case LUNKIT_FACT_ITEM:
            if (facts.empty() || facts.back().key != fact->key) {
                facts.push_back({fact->key, std::vector<std::string>()});
            }
            if (auto* const items = std::get_if<std::vector<std::string>>(&facts.back().value)) {
                items->push_back(text);
            }
            return;
        default:
            return;  // a kind of a later version
    }
}

/// For filters. EPERM: what may not be opened may not be looked for either; of what is not there
/// the folder counts.
Result<bool> file_exists(const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_PATH | O_CLOEXEC));
    const bool found = static_cast<bool>(file);
    if (!found) {
        const std::string folder = std::filesystem::path(path).parent_path();
        file.reset(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    }
    if (file) {
        CHECK(file_policy().check(file.get(), path));
    }
    return found;
}

}  // namespace

struct HandlerRegistry::Plugin {
    lunkit_handler table{};
    std::string path;
};

Status check_handler_directory(const std::string& directory) {
    CHECK(check_owner(directory));
    std::error_code error;
    if (!std::filesystem::is_directory(directory, error)) {
        return failure(ENOTDIR, directory + " is no directory");
    }
    return {};
}

HandlerRegistry::HandlerRegistry() = default;

HandlerRegistry::~HandlerRegistry() {
    for (const auto& plugin : plugins_) {
        if (plugin->table.unload != nullptr) {
            plugin->table.unload();
        }
    }
}

Status HandlerRegistry::load_directory(const std::string& directory) {
    CHECK(check_handler_directory(directory));
    std::vector<std::string> paths;
    std::error_code error;
    for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
        const std::string name = it->path().filename();
        if (name.starts_with("handler_") && name.ends_with(".so")) {
            paths.push_back(it->path());
        }
    }
    if (error) {
        return failure(error.value(), directory + ": " + error.message());
    }
    std::ranges::sort(paths);
    for (const std::string& path : paths) {
        if (const Status status = load(path); !status) {
            core::log(core::LogLevel::kError, {}, "{}; it is left out", status.error().what);
        }
    }
    return {};
}

Status HandlerRegistry::load(const std::string& path) {
    // Where symbolic links end counts, the folder as well: who may write there may put another
    // file.
    std::error_code error;
    const std::filesystem::path real = std::filesystem::canonical(path, error);
    if (error) {
        return failure(error.value(), path + ": " + error.message());
    }
    CHECK(check_owner(real.parent_path()));
    CHECK(check_owner(real));
    CHECK(check_whole_object(real));
    void* const library = ::dlopen(real.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): glibc keeps the message per thread
        return failure(ENOEXEC, fmt::format("{} does not load: {}", path, ::dlerror()));
    }
    const auto entry =
        reinterpret_cast<const lunkit_handler* (*)(const lunkit_host*)>(::dlsym(library, kEntry));
    if (entry == nullptr) {
        return failure(ENOEXEC,
                       fmt::format("{} is no handler: it does not export {}", path, kEntry));
    }
    const lunkit_handler* const given = entry(&host_table());
    if (given == nullptr) {
        return failure(ENOEXEC, path + " says that it cannot work here");
    }
    auto plugin = std::make_unique<Plugin>();
    plugin->path = path;
    TRY(plugin->table, copy_table(*given, path));
    CHECK(check_table(plugin->table, path));
    for (const auto& other : plugins_) {
        if (std::string_view(other->table.name) == plugin->table.name) {
            return failure(EEXIST, fmt::format("{}: there is a handler '{}' already, from {}", path,
                                               plugin->table.name, other->path));
        }
    }
    if (plugin->table.load != nullptr) {
        if (const int status = plugin->table.load(&host_table()); status < 0) {
            return failure(
                -status, fmt::format("{}: handler '{}' cannot start: {}", path, plugin->table.name,
                                     std::generic_category().message(-status)));
        }
    }
    core::log(core::LogLevel::kInfo, {}, "handler '{}' from {}", plugin->table.name, path);
    plugins_.push_back(std::move(plugin));
    return {};
}

std::vector<HandlerInfo> HandlerRegistry::list() const {
    const auto text = [](const char* string) { return string == nullptr ? "" : string; };
    std::vector<HandlerInfo> result;
    result.reserve(plugins_.size());
    for (const auto& plugin : plugins_) {
        result.push_back({plugin->table.name, text(plugin->table.description),
                          text(plugin->table.config_help), plugin->path,
                          plugin->table.abi_version});
    }
    return result;
}

const HandlerRegistry::Plugin* HandlerRegistry::find(std::string_view config,
                                                     std::string_view* rest) const {
    const std::size_t slash = config.find('/');
    const std::string_view name = config.substr(0, slash);
    *rest = slash == std::string_view::npos ? std::string_view() : config.substr(slash + 1);
    const auto found = std::ranges::find_if(
        plugins_, [&](const auto& plugin) { return name == plugin->table.name; });
    return found == plugins_.end() ? nullptr : found->get();
}

bool HandlerRegistry::knows(std::string_view config) const {
    std::string_view rest;
    return find(config, &rest) != nullptr;
}

Status HandlerRegistry::check_config(const std::string& config, bool syntax_only) const {
    std::string_view rest;
    const Plugin* const plugin = find(config, &rest);
    if (plugin == nullptr) {
        return unknown(config);
    }
    TRY(const filters::FilterConfig parsed, filters::FilterConfig::parse(rest));
    if (plugin->table.check_config == nullptr) {
        return {};
    }
    const std::string& text = parsed.handler;
    std::array<char, kErrorRoom> error{};
    lunkit_check check{};
    check.struct_size = sizeof check;
    check.flags = syntax_only ? LUNKIT_CHECK_SYNTAX_ONLY : 0U;
    check.config = text.c_str();
    check.host = &host_table();
    check.error = error.data();
    check.error_size = error.size();
    if (const int status = plugin->table.check_config(&check); status < 0) {
        return complaint(plugin->table, status, error.data());
    }
    return {};
}

Result<Facts> HandlerRegistry::inspect(const std::string& config, Inspection how,
                                       Queue& queue) const {
    std::string_view rest;
    const Plugin* const plugin = find(config, &rest);
    if (plugin == nullptr) {
        return unknown(config);
    }
    if (plugin->table.inspect == nullptr) {
        return failure(ENOTSUP, fmt::format("handler '{}' has nothing to tell about its storage",
                                            plugin->table.name));
    }
    TRY(const filters::FilterConfig parsed, filters::FilterConfig::parse(rest));
    const std::string& text = parsed.handler;
    std::array<char, kErrorRoom> error{};
    Facts facts;
    lunkit_inspect request{};
    request.struct_size = sizeof request;
    request.flags = (how != Inspection::kDescribe ? LUNKIT_INSPECT_VERIFY : 0U) |
                    (how == Inspection::kRepairLeaks ? LUNKIT_INSPECT_REPAIR_LEAKS : 0U);
    request.config = text.c_str();
    request.host = &host_table();
    request.queue = queue.handle();
    request.tell = &collect;
    request.context = &facts;
    request.error = error.data();
    request.error_size = error.size();
    if (const int status = plugin->table.inspect(&request); status < 0) {
        return complaint(plugin->table, status, error.data());
    }
    return facts;
}

Result<std::unique_ptr<BlockDevice>> HandlerRegistry::open(OpenDevice request) const {
    std::string_view rest;
    const Plugin* const plugin = find(request.config, &rest);
    if (plugin == nullptr) {
        return unknown(request.config);
    }
    TRY(filters::FilterConfig parsed, filters::FilterConfig::parse(rest));
    const std::string text = std::move(parsed.handler);
    request.read_only = request.read_only || parsed.read_only;
    filters::Surroundings world;
    world.file_exists = file_exists;
    world.label = [label = DeviceLabel{request.name, request.late_name}] {
        return std::string(label.get());
    };
    if (request.handing_over) {
        world.handing_over = request.handing_over;
    }
    const filters::FilterStack stack(std::move(parsed), std::move(world));
    const std::uint32_t block_size = request.block_size;
    const std::uint64_t wanted = std::exchange(request.size, stack.size_below(request.size));
    request.size_changed = stack.size_changed(std::move(request.size_changed));
    TRY(std::unique_ptr<BlockDevice> device,
        PluginDevice::open(plugin->table, text, std::move(request)));
    return stack.put_in_front_of(std::move(device), block_size, wanted);
}

std::unexpected<Error> HandlerRegistry::unknown(std::string_view config) const {
    if (config.find('/') == std::string_view::npos) {
        return failure(EINVAL, fmt::format("'{}' is not <handler>/<what it serves>", config));
    }
    std::vector<std::string_view> names;
    names.reserve(plugins_.size());
    for (const auto& plugin : plugins_) {
        names.emplace_back(plugin->table.name);
    }
    return failure(ENOENT, fmt::format("there is no handler '{}' (there are: {})",
                                       config.substr(0, config.find('/')), fmt::join(names, ", ")));
}

}  // namespace lunkit::host
