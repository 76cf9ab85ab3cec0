// SPDX-License-Identifier: Apache-2.0
// What tests of encrypted images share: secrets, images that qemu-img encrypts, and how its
// programs are told of them.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "qcow/big_endian.hpp"
#include "qcow_rig.hpp"

namespace lunkit::qcow {

class Luks : public QcowRig {
  protected:
    static constexpr std::uint64_t kSize = 4 * kMiB;
    static constexpr const char* kPassphrase = "correct horse battery staple\n";

    void SetUp() override {
        QcowRig::SetUp();
        make_secret("key", kPassphrase);
    }
    void make_secret(const std::string& name, const std::string& passphrase, mode_t mode = 0600) {
        test::write_file(folder_ / name, passphrase);
        ASSERT_EQ(0, ::chmod((folder_ / name).c_str(), mode));
    }
    [[nodiscard]] std::string keys(const std::string& name = "key") const {
        return ";secret_file=" + (folder_ / name);
    }
    [[nodiscard]] std::string secret_object() const {
        return "secret,id=key,file=" + (folder_ / "key");
    }
    /// How qemu's programs are told of an encrypted image.
    [[nodiscard]] std::vector<std::string> naming(const std::string& image) const {
        return {"--object", secret_object(), "--image-opts",
                "driver=qcow2,encrypt.key-secret=key,file.filename=" + (folder_ / image)};
    }
    void create_luks(const std::string& image, const std::string& options) {
        const std::vector<std::string> command = {
            "qemu-img",
            "create",
            "-q",
            "-f",
            "qcow2",
            "--object",
            secret_object(),
            "-o",
            "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10" +
                (options.empty() ? "" : "," + options),
            folder_ / image,
            std::to_string(kSize)};
        // It measures itself for seconds, and gives up when other programs disturb it.
        for (int attempt = 0; attempt < 100; ++attempt) {
            if (call(command) == 0) {
                return;
            }
            ASSERT_THAT(printed_, ::testing::HasSubstr("accurate CPU usage"));
        }
        FAIL() << printed_;
    }
    /// The same, made once for all tests with these options, and copied. No paths in `options`.
    void copy_luks(const std::string& image, const std::string& options = "") {
        static const test::BuildFolder kept;
        const std::string made = kept / ("image," + options);
        if (!std::filesystem::exists(made)) {
            ASSERT_NO_FATAL_FAILURE(create_luks("made", options));
            std::filesystem::rename(folder_ / "made", made);
        }
        std::filesystem::copy_file(made, folder_ / image);
    }
    void set_backing(const std::string& image, const std::string& base, const std::string& format) {
        std::vector<std::string> arguments = {"rebase", "-u", "-b", base, "-F", format};
        for (const std::string& word : naming(image)) {
            arguments.push_back(word);
        }
        qemu_img(std::move(arguments));
    }
    void qemu_io_luks(const std::string& image, const std::vector<std::string>& commands) {
        std::vector<std::string> arguments = {"qemu-io"};
        for (const std::string& command : commands) {
            arguments.insert(arguments.end(), {"-c", command});
        }
        for (const std::string& word : naming(image)) {
            arguments.push_back(word);
        }
        ASSERT_EQ(0, call(std::move(arguments))) << printed_;
    }
    std::string content_of(const std::string& image) {
        std::vector<std::string> arguments = {"convert"};
        for (const std::string& word : naming(image)) {
            arguments.push_back(word);
        }
        arguments.insert(arguments.end(), {"-O", "raw", folder_ / "content.raw"});
        qemu_img(std::move(arguments));
        return test::read_file(folder_ / "content.raw");
    }
    void expect_sound(const std::string& image) {
        std::vector<std::string> arguments = {"qemu-img", "check"};
        for (const std::string& word : naming(image)) {
            arguments.push_back(word);
        }
        EXPECT_EQ(0, call(std::move(arguments))) << printed_;
    }
    std::uint64_t luks_at(const std::string& image) {
        // qemu-img writes the extension first, and puts the header behind the first tables.
        const std::string file = test::read_file(folder_ / image);
        EXPECT_EQ(std::string("\x05\x37\xbe\x77", 4), file.substr(112, 4));
        return load_be<std::uint64_t>(reinterpret_cast<const std::byte*>(file.data() + 120));
    }
    void put(const std::string& image, std::uint64_t at, std::string_view bytes) {
        const UniqueFd fd(::open((folder_ / image).c_str(), O_RDWR | O_CLOEXEC));
        ASSERT_EQ(static_cast<ssize_t>(bytes.size()),
                  ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(at)));
    }

    /// Random requests, also to a model.
    void exercise(std::string& model, std::mt19937_64& random, int requests) {
        for (int i = 0; i < requests; ++i) {
            const std::uint64_t first = random() % (model.size() / 512);
            const std::uint64_t count = std::min<std::uint64_t>(
                random() % (random() % 4 == 0 ? 800 : 40) + 1, model.size() / 512 - first);
            const std::uint64_t offset = first * 512;
            const std::uint64_t length = count * 512;
            switch (random() % 8) {
                case 0:
                    if (device_->info().can_discard) {
                        ASSERT_TRUE(discard(offset, length));
                        model.replace(offset, length, length, '\0');
                    }
                    break;
                case 1:
                    ASSERT_TRUE(
                        write_zeroes(offset, length, random() % 2 == 0 ? LUNKIT_IO_MAY_UNMAP : 0U));
                    model.replace(offset, length, length, '\0');
                    break;
                case 2:
                    ASSERT_EQ(model.substr(offset, length), read(offset, length)) << offset;
                    break;
                default: {
                    const std::string bytes = noise(length, random());
                    ASSERT_TRUE(write(offset, bytes, random() % 8 == 0 ? LUNKIT_IO_FUA : 0U));
                    model.replace(offset, length, bytes);
                }
            }
        }
    }
};

}  // namespace lunkit::qcow
