// SPDX-License-Identifier: Apache-2.0
// FakeKernelTree: a folder that looks like the parts of /sys and /dev that TCMU uses.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tcmu/configfs.hpp"

namespace lunkit::test {

class FakeKernelTree {
  public:
    FakeKernelTree() {
        std::string pattern = std::filesystem::temp_directory_path() / "lunkit-tree.XXXXXX";
        root_ = ::mkdtemp(pattern.data());
        paths.configfs = root_ + "/config";
        paths.uio_class = root_ + "/class/uio";
        paths.dev = root_ + "/dev";
        paths.parameters = root_ + "/parameters";
        std::filesystem::create_directories(paths.configfs + "/target/core");
        std::filesystem::create_directories(paths.uio_class);
        std::filesystem::create_directories(paths.dev);
        put(paths.parameters + "/block_netlink", "");
        put(paths.parameters + "/reset_netlink", "");
    }
    FakeKernelTree(const FakeKernelTree&) = delete;
    FakeKernelTree& operator=(const FakeKernelTree&) = delete;
    FakeKernelTree(FakeKernelTree&&) = delete;
    FakeKernelTree& operator=(FakeKernelTree&&) = delete;
    ~FakeKernelTree() {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }

    tcmu::KernelPaths paths;
    [[nodiscard]] const std::string& root() const { return root_; }
    [[nodiscard]] std::string run_dir() const { return root_ + "/run"; }

    static void put(const std::string& path, const std::string& text) {
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        std::ofstream(path, std::ios::trunc) << text;
    }
    static std::string get(const std::string& path) {
        std::stringstream text;
        text << std::ifstream(path).rdbuf();
        return text.str();
    }
    [[nodiscard]] std::string folder(const std::string& device) const {
        return paths.configfs + "/target/core/" + device;
    }
    /// A device's configfs folder with the files of a present kernel.
    void add_configfs(const std::string& device, std::uint32_t id, std::uint64_t size, bool enabled,
                      const std::string& config = "ram/x") const {
        const std::string at = folder(device) + "/";
        put(at + "control", "");
        put(at + "enable", enabled ? "1\n" : "0\n");
        put(at + "info", "Config: " + config + " Size: " + std::to_string(size) +
                             " MaxDataAreaMB: 1024 DataPagesPerBlk: 1 CmdRingSizeMB: 8\n");
        put(at + "attrib/hw_block_size", "512\n");
        put(at + "attrib/hw_max_sectors", "128\n");
        put(at + "attrib/emulate_write_cache", "0\n");
        put(at + "attrib/tmr_notification", "0\n");
        put(at + "attrib/nl_reply_supported", "1\n");
        put(at + "action/block_dev", "unblocked\n");
        put(at + "action/reset_ring", "");
        put(at + "pr/res_holder", "No SPC-3 Reservation holder\n");
        put(at + "wwn/vpd_unit_serial", "T10 VPD Unit Serial Number: \n");
        put(at + "wwn/vendor_id", "LIO-ORG\n");
        put(at + "wwn/product_id", "\n");
        put(at + "wwn/revision", "\n");
        put(at + "wwn/company_id", "0x001405\n");
        put(at + "statistics/scsi_dev/indx", std::to_string(id) + "\n");
    }
    void add_uio(std::uint32_t minor, const std::string& name, std::size_t size) const {
        const std::string at = paths.uio_class + "/uio" + std::to_string(minor) + "/";
        put(at + "name", name + "\n");
        std::stringstream text;
        text << "0x" << std::hex << size << "\n";
        put(at + "maps/map0/size", text.str());
    }
    /// Its inode is not given again.
    void remove_uio(std::uint32_t minor) {
        std::filesystem::rename(paths.uio_class + "/uio" + std::to_string(minor),
                                root_ + "/gone" + std::to_string(++gone_));
    }

  private:
    std::string root_;
    int gone_ = 0;
};

}  // namespace lunkit::test
