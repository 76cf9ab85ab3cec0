// SPDX-License-Identifier: Apache-2.0
#include "control/options.hpp"

#include <fmt/format.h>

#include <array>

#include "control/glib_handle.hpp"
#include "control/settings_table.hpp"

namespace lunkit::control {
namespace {

constexpr const char* kDefaultConfig = "/etc/lunkit/lunkitd.conf";

struct ContextFree {
    void operator()(GOptionContext* context) const { g_option_context_free(context); }
};
struct StringsFree {
    void operator()(gchar** strings) const { g_strfreev(strings); }
};

/// Where GLib puts what it has parsed.
struct Parsed {
    gboolean help = FALSE;
    gboolean version = FALSE;
    gboolean foreground = FALSE;
    gboolean check_config = FALSE;
    gboolean default_config = FALSE;
    gchar* config = nullptr;
    gchar* log_level = nullptr;
    gchar* handler_dir = nullptr;
    gchar** rest = nullptr;

    Parsed() = default;
    Parsed(const Parsed&) = delete;
    Parsed& operator=(const Parsed&) = delete;
    Parsed(Parsed&&) = delete;
    Parsed& operator=(Parsed&&) = delete;
    ~Parsed() {
        g_free(config);
        g_free(log_level);
        g_free(handler_dir);
        g_strfreev(rest);
    }
};

constexpr const char* kDescription =
    "Exit status: 0 stopped as asked; 1 failure; 2 usage; 69 nothing to serve; 78 the "
    "configuration "
    "is broken.\n"
    "SIGTERM and SIGINT stop the daemon, SIGHUP reloads its configuration.\n"
    "See lunkitd(8) and lunkitd.conf(5).\n";

Options usage_error(const std::string& what) {
    Options options;
    options.action = Options::Action::kUsageError;
    options.text = fmt::format("lunkitd: {}\nTry 'lunkitd --help'.\n", what);
    return options;
}

Options printed(std::string text) {
    Options options;
    options.action = Options::Action::kPrint;
    options.text = std::move(text);
    return options;
}

std::unique_ptr<GOptionContext, ContextFree> make_context(Parsed& parsed) {
    const std::array<GOptionEntry, 10> entries = {{
        {"help", 'h', 0, G_OPTION_ARG_NONE, &parsed.help, "Print this and exit", nullptr},
        {"version", 'V', 0, G_OPTION_ARG_NONE, &parsed.version, "Print the version and exit",
         nullptr},
        {"foreground", 'f', 0, G_OPTION_ARG_NONE, &parsed.foreground,
         "Log to stderr even when systemd started it", nullptr},
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, static_cast<gpointer>(&parsed.config),
         "Read settings from FILE (default /etc/lunkit/lunkitd.conf)", "FILE"},
        {"check-config", 0, 0, G_OPTION_ARG_NONE, &parsed.check_config,
         "Say what is wrong with the settings and exit", nullptr},
        {"default-config", 0, 0, G_OPTION_ARG_NONE, &parsed.default_config,
         "Print a configuration file with every default and exit", nullptr},
        {"log-level", 0, 0, G_OPTION_ARG_STRING, static_cast<gpointer>(&parsed.log_level),
         "error, warning, notice, info or debug", "LEVEL"},
        {"handler-dir", 0, 0, G_OPTION_ARG_FILENAME, static_cast<gpointer>(&parsed.handler_dir),
         "Load handlers from DIRECTORY", "DIRECTORY"},
        {G_OPTION_REMAINING, 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_STRING_ARRAY,
         static_cast<gpointer>(&parsed.rest), nullptr, nullptr},
        {nullptr, 0, 0, G_OPTION_ARG_NONE, nullptr, nullptr, nullptr},
    }};
    std::unique_ptr<GOptionContext, ContextFree> context(
        g_option_context_new("- serve storage handlers as SCSI LUNs"));
    g_option_context_set_help_enabled(context.get(), FALSE);
    g_option_context_set_description(context.get(), kDescription);
    g_option_context_add_main_entries(context.get(), entries.data(), nullptr);
    return context;
}

}  // namespace

Options parse_options(std::vector<std::string> arguments) {
    Parsed parsed;
    const auto context = make_context(parsed);
    auto argv = std::unique_ptr<gchar*, StringsFree>(g_new0(gchar*, arguments.size() + 1));
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        argv.get()[i] = g_strdup(arguments[i].c_str());
    }
    // GLib takes the strings it has understood out of the array, and frees them.
    gchar** remaining = argv.release();
    ErrorSlot error;
    const bool understood =
        g_option_context_parse_strv(context.get(), &remaining, error.out()) != FALSE;
    argv.reset(remaining);
    if (!understood) {
        return usage_error(error.message());
    }
    if (parsed.rest != nullptr) {
        return usage_error(fmt::format("unexpected argument '{}'", parsed.rest[0]));
    }
    if (parsed.help != FALSE) {
        const CharPtr help(g_option_context_get_help(context.get(), TRUE, nullptr));
        return printed(help.get());
    }
    if (parsed.version != FALSE) {
        return printed("lunkitd " LUNKIT_VERSION "\n");
    }
    if (parsed.default_config != FALSE) {
        return printed(default_settings_text());
    }
    Options options;
    options.action =
        parsed.check_config != FALSE ? Options::Action::kCheckConfig : Options::Action::kRun;
    options.foreground = parsed.foreground != FALSE;
    // A missing file is fine where nobody has named it.
    options.source.path = parsed.config != nullptr ? parsed.config : kDefaultConfig;
    options.source.when_missing =
        parsed.config != nullptr ? WhenMissing::kError : WhenMissing::kDefaults;
    if (parsed.log_level != nullptr) {
        const auto level = parse_log_level(parsed.log_level);
        if (!level) {
            return usage_error("--log-level: " + level.error().what);
        }
        options.source.log_level = *level;
    }
    if (parsed.handler_dir != nullptr) {
        options.source.handler_dir = parsed.handler_dir;
    }
    return options;
}

}  // namespace lunkit::control
