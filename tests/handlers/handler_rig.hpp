// SPDX-License-Identifier: Apache-2.0
// HandlerRig: a device of a handler that was loaded as the daemon loads it, on each engine.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host/handler_registry.hpp"
#include "support/engine_rig.hpp"

namespace lunkit::test {

/// All handlers, loaded once from copies that only this user can have changed.
inline const host::HandlerRegistry& loaded_handlers(std::vector<std::string> paths) {
    struct Loaded {
        explicit Loaded(const std::vector<std::string>& plugins) {
            for (const std::string& path : plugins) {
                const std::string copy = folder / std::filesystem::path(path).filename().string();
                std::filesystem::copy_file(path, copy);
                EXPECT_EQ(0, ::chmod(copy.c_str(), 0755));
                const Status status = registry.load(copy);
                EXPECT_TRUE(status) << status.error().what;
            }
        }
        BuildFolder folder;
        host::HandlerRegistry registry;
    };
    static const Loaded loaded(paths);
    return loaded.registry;
}

class HandlerRig : public EngineRig {
  protected:
    static const host::HandlerRegistry& handlers() {
        return loaded_handlers({std::string(HANDLER_DIR) + "/handler_file.so",
                                std::string(HANDLER_DIR) + "/handler_null.so",
                                std::string(HANDLER_DIR) + "/handler_ram.so",
                                std::string(HANDLER_DIR) + "/handler_zbc.so",
                                std::string(TEST_HANDLER_DIR) + "/handler_cpp_face.so"});
    }
    Status try_open(const std::string& config, std::uint64_t size, bool read_only = false,
                    bool take_over = false, std::uint32_t block_size = 512) {
        host::OpenDevice request;
        request.config = config;
        request.name = "user_0/disk1";
        request.size = size;
        request.block_size = block_size;
        request.read_only = read_only;
        request.take_over = take_over;
        request.handing_over = [this] { return handing_over_; };
        request.zones = serves_zones_;
        auto opened = handlers().open(std::move(request));
        if (!opened) {
            return std::unexpected(opened.error());
        }
        device_ = std::move(*opened);
        return {};
    }
    void open(const std::string& config, std::uint64_t size) {
        const Status status = try_open(config, size);
        ASSERT_TRUE(status) << status.error().what;
    }
    std::string why(const Status& status) { return status ? "" : status.error().what; }
    std::string check(const std::string& config, bool syntax_only = false) {
        return why(handlers().check_config(config, syntax_only));
    }

    Status write(std::uint64_t offset, std::string bytes, std::uint32_t flags = 0) {
        const SingleData data(bytes.data(), bytes.size());
        const IoRequest io(offset, data, flags);
        return run(device_->write(queue(), io));
    }
    std::string read(std::uint64_t offset, std::size_t length) {
        std::string bytes(length, '?');
        const SingleData data(bytes.data(), bytes.size());
        const IoRequest io(offset, data);
        const Status status = run(device_->read(queue(), io));
        return status ? bytes : "error " + std::to_string(status.error().code);
    }
    Status flush() { return run(device_->flush(queue())); }
    Status discard(std::uint64_t offset, std::uint64_t length, std::uint32_t flags = 0) {
        const IoRequest io(offset, length, flags);
        return run(device_->discard(queue(), io));
    }
    Status write_zeroes(std::uint64_t offset, std::uint64_t length, std::uint32_t flags = 0) {
        const IoRequest io(offset, length, flags);
        return run(device_->write_zeroes(queue(), io));
    }
    Status compare_and_write(std::uint64_t offset, const std::string& expected,
                             const std::string& bytes) {
        std::string both = expected + bytes;
        const SingleData data(both.data(), both.size());
        IoRequest io(offset, data);
        io.length = expected.size();
        return run(device_->compare_and_write(queue(), io));
    }
    std::vector<Extent> extents(std::uint64_t offset, std::uint64_t length) {
        std::vector<Extent> found(16);
        const IoRequest io(offset, length);
        const auto count = run(device_->extents(queue(), io, std::span<Extent>(found)));
        found.resize(count.value_or(0));
        return found;
    }
    Result<Space> space() { return run(device_->space(queue())); }

    bool handing_over_ = false;
    bool serves_zones_ = false;
    std::unique_ptr<BlockDevice> device_;
};

}  // namespace lunkit::test
