// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include "cli/text_table.hpp"

namespace lunkit::cli {
namespace {

namespace fs = std::filesystem;
using Findings = std::vector<Finding>;
using Kind = Finding::Kind;

constexpr std::string_view kParameters = "/sys/module/target_core_user/parameters/";

class Examination {
  public:
    explicit Examination(const Patient& patient) : patient_(patient) {}

    Findings run() {
        kernel();
        daemon();
        other_runner();
        dbus();
        netlink();
        // Who waits in the kernel may hold locks of configfs that would hold us, too.
        if (!stuck_processes()) {
            devices();
        }
        left_behind();
        io_uring();
        ublk();
        return std::move(findings_);
    }

  private:
    void say(Kind kind, std::string what, std::string cure = {}) {
        findings_.push_back({kind, std::move(what), std::move(cure)});
    }
    [[nodiscard]] fs::path at(std::string_view path) const {
        return fs::path(patient_.root + std::string(path));
    }
    [[nodiscard]] bool is_there(std::string_view path) const {
        std::error_code ignored;
        return fs::exists(at(path), ignored);
    }
    /// The first line; nothing: it cannot be read.
    [[nodiscard]] static std::optional<std::string> first_line(const fs::path& path) {
        std::ifstream file(path);
        std::string line;
        return std::getline(file, line) ? std::optional(line) : std::nullopt;
    }
    [[nodiscard]] std::optional<std::string> first_line_at(std::string_view path) const {
        return first_line(at(path));
    }
    /// What is in a folder, by name; nothing when it is not there or closed to us.
    [[nodiscard]] static std::vector<fs::path> entries(const fs::path& folder) {
        std::vector<fs::path> found;
        std::error_code error;
        for (fs::directory_iterator next(folder, error), end; !error && next != end;
             next.increment(error)) {
            found.push_back(next->path());
        }
        std::ranges::sort(found);
        return found;
    }

    void kernel() {
        const std::string release = first_line_at("/proc/sys/kernel/osrelease").value_or("?");
        if (const Status found = patient_.find_module("target_core_user"); !found) {
            say(Kind::kTrouble,
                fmt::format("kernel {} has no module target_core_user: {}", release,
                            found.error().what),
                "install and boot a kernel with CONFIG_TCM_USER2, such as Debian's "
                "linux-image-amd64");
            return;
        }
        if (!is_there("/sys/module/target_core_user")) {
            say(Kind::kNote, fmt::format("kernel {}: target_core_user is not loaded", release),
                "lunkitd loads it when it starts");
            return;
        }
        if (!is_there("/sys/kernel/config/target/core")) {
            say(Kind::kTrouble, "target_core_user is loaded, but there is no configfs to use it",
                "mount -t configfs configfs /sys/kernel/config");
            return;
        }
        say(Kind::kFine, fmt::format("kernel {}: target_core_user and configfs", release));
    }

    void daemon() {
        if (!patient_.daemon) {
            const Error& error = patient_.daemon.error();
            say(Kind::kTrouble, fmt::format("lunkitd does not answer: {}", error.what),
                cure_of(error.code));
        } else if (patient_.daemon->version != patient_.own_version) {
            say(Kind::kTrouble,
                fmt::format("lunkitd is of version {}, this tool of {}", patient_.daemon->version,
                            patient_.own_version),
                "systemctl restart lunkitd; no command in flight is lost");
        } else {
            say(Kind::kFine, fmt::format("lunkitd {} runs, {} devices", patient_.daemon->version,
                                         patient_.daemon->devices.size()));
        }
    }

    static std::string cure_of(int error) {
        switch (error) {
            case EACCES:
                return "ask as root";
            case ETIMEDOUT:
                return "systemctl restart lunkitd; no command in flight is lost";
            default:
                return "systemctl start lunkitd; journalctl -u lunkitd tells why if it does not "
                       "start";
        }
    }

    void other_runner() {
        for (const fs::path& process : processes()) {
            if (first_line(process / "comm") == "tcmu-runner") {
                say(Kind::kTrouble,
                    fmt::format("tcmu-runner runs (process {}): two programs answer for the same "
                                "devices",
                                process.filename().string()),
                    "systemctl disable --now tcmu-runner; systemctl restart lunkitd");
            }
        }
    }

    void dbus() {
        constexpr std::array kPolicies{"/usr/share/dbus-1/system.d/org.lunkit.conf",
                                       "/etc/dbus-1/system.d/org.lunkit.conf"};
        if (std::ranges::none_of(kPolicies, [this](auto path) { return is_there(path); })) {
            say(Kind::kTrouble, "D-Bus has no policy that lets lunkitd own its name",
                "install lunkit's org.lunkit.conf in /usr/share/dbus-1/system.d");
        }
        constexpr std::string_view kService = "/org.kernel.TCMUService1.service";
        auto activation = at("/usr/local/share/dbus-1/system-services" + std::string(kService));
        if (std::error_code ignored; !fs::exists(activation, ignored)) {
            activation = at("/usr/share/dbus-1/system-services" + std::string(kService));
        }
        std::ifstream file(activation);
        std::string all(std::istreambuf_iterator<char>(file), {});
        if (all.empty()) {
            say(Kind::kNote, "targetcli does not start lunkitd when it needs it",
                "install lunkit's org.kernel.TCMUService1.service in "
                "/usr/share/dbus-1/system-services");
        } else if (all.find("lunkitd") == std::string::npos) {
            say(Kind::kTrouble,
                "another program is started when targetcli asks for org.kernel.TCMUService1",
                fmt::format("see {}", activation.string()));
        } else {
            say(Kind::kFine, "D-Bus policy and activation");
        }
    }

    void netlink() {
        if (first_line_at(std::string(kParameters) + "block_netlink") == "blocked") {
            say(Kind::kTrouble, "the kernel refuses every creation and deletion (block_netlink)",
                fmt::format("systemctl restart lunkitd, or echo 0 >{}block_netlink", kParameters));
        }
    }

    /// Those that the kernel has, against those that are served.
    void devices() {
        for (const fs::path& hba : entries(at("/sys/kernel/config/target/core"))) {
            if (!hba.filename().string().starts_with("user_")) {
                continue;
            }
            for (const fs::path& device : entries(hba)) {
                one_device(device, hba.filename().string() + "/" + device.filename().string());
            }
        }
    }
    void one_device(const fs::path& device, const std::string& name) {
        if (first_line(device / "enable") != "1") {
            return;
        }
        if (first_line(device / "action" / "block_dev") == "blocked") {
            say(Kind::kTrouble, fmt::format("{} is blocked: its commands wait", name),
                fmt::format("systemctl restart lunkitd, or echo 0 >{}",
                            (device / "action" / "block_dev").string()));
        }
        if (!patient_.daemon || contains(patient_.daemon->devices, name)) {
            return;
        }
        const std::string handler = handler_of(device);
        if (contains(patient_.daemon->handlers, handler)) {
            say(Kind::kTrouble, fmt::format("{} is there, and lunkitd does not serve it", name),
                "the log of lunkitd says why; it tries again when it is restarted");
        } else {
            say(Kind::kNote, fmt::format("{} is for a handler '{}', which lunkitd does not have",
                                         name, printable(handler)));
        }
    }
    static bool contains(const std::vector<std::string>& all, const std::string& one) {
        return std::ranges::find(all, one) != all.end();
    }
    /// From the device's `info`: "Config: <handler>/..."; empty: it does not say.
    static std::string handler_of(const fs::path& device) {
        constexpr std::string_view kKey = "Config: ";
        std::ifstream file(device / "info");
        const std::string all(std::istreambuf_iterator<char>(file), {});
        const std::size_t at = all.find(kKey);
        return at == std::string::npos
                   ? ""
                   : all.substr(at + kKey.size(), all.find('/', at) - at - kKey.size());
    }

    bool stuck_processes() {
        bool found = false;
        for (const fs::path& process : processes()) {
            const std::string where = first_line(process / "wchan").value_or("");
            if (where.find("tcmu") == std::string::npos && !where.starts_with("target_")) {
                continue;
            }
            found = true;
            say(Kind::kTrouble,
                fmt::format("process {} ({}) waits in the kernel ({})", process.filename().string(),
                            printable(first_line(process / "comm").value_or("?")), where),
                patient_.daemon
                    ? fmt::format("if it does not end by itself, fail what it asked for: cd {}; "
                                  "echo 1 >block_netlink; echo 1 >reset_netlink; echo 0 "
                                  ">block_netlink",
                                  kParameters)
                    : "systemctl start lunkitd, which answers it");
        }
        return found;
    }

    void left_behind() {
        for (const fs::path& file : entries(at("/run/lunkit/tcmu"))) {
            const std::string node = file.stem().string();
            if (file.extension() == ".inflight" && !is_there("/sys/class/uio/" + node)) {
                say(Kind::kNote, fmt::format("{} is of a device that is no more", file.string()),
                    "harmless; it may be removed");
            }
        }
    }

    void io_uring() {
        const auto disabled = first_line_at("/proc/sys/kernel/io_uring_disabled");
        if (disabled == "2") {
            say(Kind::kNote,
                "io_uring is disabled: lunkitd works with threads, which is slower, and has no "
                "ublk",
                "sysctl kernel.io_uring_disabled=0");
        } else {
            say(Kind::kFine, "io_uring is allowed");
        }
    }

    void ublk() {
        if (!patient_.find_module("ublk_drv")) {
            say(Kind::kNote, "this kernel has no ublk: 'lunkit ublk' does not work",
                "boot a kernel with CONFIG_BLK_DEV_UBLK, such as Debian's 6.12");
        } else {
            say(Kind::kFine, "ublk");
        }
    }

    [[nodiscard]] std::vector<fs::path> processes() const {
        std::vector<fs::path> all = entries(at("/proc"));
        std::erase_if(all, [](const fs::path& path) {
            const std::string name = path.filename().string();
            return name.find_first_not_of("0123456789") != std::string::npos;
        });
        return all;
    }

    const Patient& patient_;
    Findings findings_;
};

}  // namespace

Findings examine(const Patient& patient) {
    return Examination(patient).run();
}

}  // namespace lunkit::cli
