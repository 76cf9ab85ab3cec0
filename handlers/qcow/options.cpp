// SPDX-License-Identifier: Apache-2.0
#include "qcow/options.hpp"

#include <cerrno>
#include <utility>

#include "lunkit/config_string.hpp"
#include "lunkit/try.hpp"
#include "qcow/confined_path.hpp"

namespace lunkit::qcow {

namespace {

/// confined: the image's own folder; off: ""; or a folder's absolute path.
Result<std::string> folder_for(const char* key, std::string choice, const std::string& image) {
    if (choice == "off") {
        return std::string();
    }
    if (choice == "confined") {
        const std::string_view folder = folder_of(image);
        return folder.empty() ? std::string("/.") : std::string(folder);
    }
    if (!choice.starts_with('/') || choice.size() == 1) {
        return failure(EINVAL, std::string(key) + "=" + choice +
                                   ": expected confined, off or the absolute path of a folder");
    }
    while (choice.ends_with('/')) {
        choice.pop_back();
    }
    return choice;
}

Status check_secret(const QcowOptions& options) {
    const SecretSource& secret = options.secret;
    if (!secret.file.empty() && !secret.credential.empty()) {
        return failure(EINVAL, "secret_file and secret_credential exclude each other");
    }
    if (!secret.file.empty() && !secret.file.starts_with('/')) {
        return failure(EINVAL, "secret_file: '" + secret.file + "' is not an absolute path");
    }
    if (secret.credential.find('/') != std::string::npos || secret.credential.starts_with('.')) {
        return failure(EINVAL, "secret_credential: '" + secret.credential + "' is not a name");
    }
    return {};
}

/// Of keys that have some values only.
Status check_values(const QcowOptions& options, const std::string& commit) {
    constexpr std::uint64_t kLeastCache = 64ULL << 10U;
    constexpr std::uint64_t kMostCache = 64ULL << 30U;
    if (options.cache_bytes < kLeastCache || options.cache_bytes > kMostCache) {
        return failure(EINVAL, "cache: expected 64K to 64G");
    }
    if (commit != "write" && commit != "flush") {
        return failure(EINVAL, "commit=" + commit + ": expected write or flush");
    }
    const std::string& format = options.backing_format;
    if (!format.empty() && format != "raw" && format != "qcow2" && format != "qcow") {
        return failure(EINVAL, "backing_format=" + format + ": expected raw, qcow2 or qcow");
    }
    return {};
}

}  // namespace

Result<QcowOptions> parse_options(std::string_view config) {
    constexpr std::uint64_t kCache = 32ULL << 20U;
    TRY(ConfigString keys, ConfigString::parse(config));
    QcowOptions options;
    options.path = keys.target();
    TRY(options.read_only, keys.boolean("readonly", false));
    TRY(options.create, keys.boolean("create", false));
    TRY(options.shrink, keys.boolean("shrink", false));
    TRY(options.snapshot, keys.text("snapshot", ""));
    TRY(options.cache_bytes, keys.bytes("cache", kCache));
    TRY(const std::string commit, keys.text("commit", "write"));
    TRY(std::string backing, keys.text("backing", "confined"));
    TRY(options.backing_format, keys.text("backing_format", ""));
    TRY(options.secret.file, keys.text("secret_file", ""));
    TRY(options.secret.credential, keys.text("secret_credential", ""));
    TRY(std::string data_file, keys.text("data_file", "off"));
    CHECK(keys.finish());
    if (!options.path.starts_with('/')) {
        return failure(EINVAL, "'" + options.path + "' is not an absolute path");
    }
    CHECK(check_values(options, commit));
    CHECK(check_secret(options));
    options.lazy = commit == "flush";
    TRY(options.backing_folder, folder_for("backing", std::move(backing), options.path));
    TRY(options.data_folder, folder_for("data_file", std::move(data_file), options.path));
    options.read_only = options.read_only || !options.snapshot.empty();
    if (options.create && options.read_only) {
        return failure(EINVAL, "create=on makes no sense for what is served read-only");
    }
    return options;
}

}  // namespace lunkit::qcow
