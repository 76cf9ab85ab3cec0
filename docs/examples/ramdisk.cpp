// SPDX-License-Identifier: Apache-2.0
#include <lunkit/handler.hpp>
#include <vector>

class RamDisk : public lunkit::BlockDevice {
  public:
    static lunkit::Result<std::unique_ptr<RamDisk>> open(const lunkit::OpenRequest& request) {
        if (request.size == 0) {
            return lunkit::failure(EINVAL, "a RAM disk needs a size");
        }
        return std::make_unique<RamDisk>(request);
    }
    explicit RamDisk(const lunkit::OpenRequest& request)
        : host_(request.host), bytes_(request.size) {}

    lunkit::DeviceInfo info() const override {
        lunkit::DeviceInfo info;
        info.size = bytes_.size();
        info.write_cache = false;
        return info;
    }
    lunkit::Task<lunkit::Status> read(lunkit::Queue&, const lunkit::IoRequest& io) override {
        co_return status(
            host_.copy_to(io.data, io.data_offset, bytes_.data() + io.offset, io.length));
    }
    lunkit::Task<lunkit::Status> write(lunkit::Queue&, const lunkit::IoRequest& io) override {
        co_return status(
            host_.copy_from(io.data, io.data_offset, bytes_.data() + io.offset, io.length));
    }
    lunkit::Task<lunkit::Status> flush(lunkit::Queue&) override { co_return lunkit::Status{}; }

  private:
    static lunkit::Status status(int code) {
        return code == 0 ? lunkit::Status{} : lunkit::failure(-code);
    }
    const lunkit_host& host_;
    std::vector<std::byte> bytes_;
};

LUNKIT_HANDLER(RamDisk, "ramdisk", "a RAM disk", "<any name>");
