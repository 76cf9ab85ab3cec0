// SPDX-License-Identifier: Apache-2.0
// QcowRig: images made by qemu-img, served by the handler as the daemon loads it, and judged by
// qemu-img again. What needs qemu-img skips without it, and says so.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include "core/engine_queue.hpp"
#include "host/handler_registry.hpp"
#include "lunkit/unique_fd.hpp"
#include "support/child_process.hpp"
#include "support/engine_rig.hpp"
#include "support/run_task.hpp"

namespace lunkit::qcow {

class QcowRig : public ::testing::Test {
  protected:
    static constexpr std::uint64_t kMiB = 1U << 20U;

    void SetUp() override {
        if (std::system("qemu-img --version >/dev/null 2>&1") !=
            0) {  // NOLINT(cert-env33-c,concurrency-mt-unsafe): a constant command, one thread
            GTEST_SKIP() << "qemu-img is not installed (package qemu-utils)";
        }
        auto made =
            core::make_queue(core::EngineChoice::kThreads, pool_, std::chrono::microseconds(0));
        ASSERT_TRUE(made) << made.error().what;
        queue_ = std::move(*made);
    }

    /// Runs a program to its end; its exit code. `printed_` has what it printed.
    int call(std::vector<std::string> arguments) {
        test::ChildProcess child(std::move(arguments));
        const int status = child.wait_exit();
        printed_ = child.printed();
        return status;
    }
    void qemu_img(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), "qemu-img");
        const std::string verb = arguments[1];
        ASSERT_EQ(0, call(std::move(arguments))) << verb << ": " << printed_;
    }
    /// qemu-io with commands separated by ';'.
    void qemu_io(const std::string& image, const std::string& commands) {
        std::vector<std::string> arguments = {"qemu-io", "-f", "qcow2"};
        for (std::size_t at = 0; at < commands.size();) {
            const std::size_t end = std::min(commands.find(';', at), commands.size());
            arguments.insert(arguments.end(), {"-c", commands.substr(at, end - at)});
            at = end + 1;
        }
        arguments.push_back(folder_ / image);
        ASSERT_EQ(0, call(std::move(arguments))) << printed_;
    }
    void create(const std::string& image, const std::string& options, std::uint64_t size) {
        std::vector<std::string> arguments = {"create", "-q", "-f", "qcow2"};
        if (!options.empty()) {
            arguments.insert(arguments.end(), {"-o", options});
        }
        arguments.insert(arguments.end(), {folder_ / image, std::to_string(size)});
        qemu_img(std::move(arguments));
    }
    /// No corruption, and nothing leaked.
    void expect_clean(const std::string& image) {
        EXPECT_EQ(0, call({"qemu-img", "check", "-f", "qcow2", folder_ / image})) << printed_;
    }
    void expect_content(const std::string& image, const std::string& bytes) {
        test::write_file(folder_ / "model.raw", bytes);
        EXPECT_EQ(0, call({"qemu-img", "compare", "-f", "raw", "-F", "qcow2", folder_ / "model.raw",
                           folder_ / image}))
            << printed_;
    }
    /// What a guest of qemu's would read.
    std::string content_by_qemu(const std::string& image) {
        qemu_img({"convert", "-f", "qcow2", "-O", "raw", folder_ / image, folder_ / "content.raw"});
        return test::read_file(folder_ / "content.raw");
    }

    Status try_open(const std::string& image, std::uint64_t size = 0, const std::string& keys = "",
                    bool read_only = false, bool take_over = false) {
        host::OpenDevice request;
        request.config = "qcow/" + (folder_ / image) + keys;
        request.name = "user_0/disk1";
        request.size = size;
        request.read_only = read_only;
        request.take_over = take_over;
        auto opened = handlers().open(std::move(request));
        if (!opened) {
            return std::unexpected(opened.error());
        }
        device_ = std::move(*opened);
        return {};
    }
    void open(const std::string& image, const std::string& keys = "") {
        const Status status = try_open(image, 0, keys);
        ASSERT_TRUE(status) << status.error().what;
    }
    std::string why_not(const std::string& image, std::uint64_t size = 0,
                        const std::string& keys = "") {
        const Status status = try_open(image, size, keys);
        device_.reset();
        return status ? "" : status.error().what;
    }
    void close() { device_.reset(); }

    static const host::HandlerRegistry& handlers() {
        struct Loaded {
            Loaded() {
                const std::string copy = folder / "handler_qcow.so";
                std::filesystem::copy_file(std::string(HANDLER_DIR) + "/handler_qcow.so", copy);
                EXPECT_EQ(0, ::chmod(copy.c_str(), 0755));
                const Status status = registry.load(copy);
                EXPECT_TRUE(status) << status.error().what;
            }
            test::BuildFolder folder;
            host::HandlerRegistry registry;
        };
        static const Loaded loaded;
        return loaded.registry;
    }

    template <typename T>
    T run(Task<T> task) {
        return test::run_task(*queue_, std::move(task));
    }
    Status write(std::uint64_t offset, std::string bytes, std::uint32_t flags = 0) {
        const SingleData data(bytes.data(), bytes.size());
        const IoRequest io(offset, data, flags);
        return run(device_->write(*queue_, io));
    }
    std::string read(std::uint64_t offset, std::size_t length) {
        std::string bytes(length, '?');
        const SingleData data(bytes.data(), bytes.size());
        const IoRequest io(offset, data);
        const Status status = run(device_->read(*queue_, io));
        return status ? bytes : "error " + std::to_string(status.error().code);
    }
    Status flush() { return run(device_->flush(*queue_)); }
    Status discard(std::uint64_t offset, std::uint64_t length, std::uint32_t flags = 0) {
        const IoRequest io(offset, length, flags);
        return run(device_->discard(*queue_, io));
    }
    Status write_zeroes(std::uint64_t offset, std::uint64_t length, std::uint32_t flags = 0) {
        const IoRequest io(offset, length, flags);
        return run(device_->write_zeroes(*queue_, io));
    }
    std::vector<Extent> extents(std::uint64_t offset, std::uint64_t length) {
        std::vector<Extent> found(64);
        const IoRequest io(offset, length);
        const auto count = run(device_->extents(*queue_, io, std::span<Extent>(found)));
        found.resize(count.value_or(0));
        return found;
    }
    void patch(const std::string& image, off_t at, std::string_view bytes) {
        const UniqueFd fd(::open((folder_ / image).c_str(), O_RDWR | O_CLOEXEC));
        ASSERT_EQ(static_cast<ssize_t>(bytes.size()),
                  ::pwrite(fd.get(), bytes.data(), bytes.size(), at));
    }
    std::string bytes_at(const std::string& image, std::size_t at, std::size_t length) {
        return test::read_file(folder_ / image).substr(at, length);
    }
    std::uint64_t blocks_of(const std::string& image) {
        struct stat status{};
        EXPECT_EQ(0, ::stat((folder_ / image).c_str(), &status));
        return static_cast<std::uint64_t>(status.st_blocks);
    }
    /// `length` bytes that differ from those of another seed.
    static std::string noise(std::size_t length, std::uint64_t seed) {
        std::mt19937_64 random(seed);
        std::string bytes(length, '\0');
        for (char& byte : bytes) {
            byte = static_cast<char>(random() % 255 + 1);
        }
        return bytes;
    }

    test::BuildFolder folder_;
    std::string printed_;
    core::WorkerPool pool_;
    std::unique_ptr<core::EngineQueue> queue_;
    std::unique_ptr<BlockDevice> device_;
};

}  // namespace lunkit::qcow
