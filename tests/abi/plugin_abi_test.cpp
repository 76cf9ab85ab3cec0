// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>

#include "host/handler_registry.hpp"
#include "support/engine_rig.hpp"

namespace lunkit::host {

using ::testing::HasSubstr;

class PluginAbi : public test::EngineRig {
  protected:
    static constexpr std::uint64_t kSize = 1 << 20;

    /// The path of a copy that only this user can have changed.
    std::string plugin(const std::string& name) {
        const std::string path = folder_ / ("handler_" + name + ".so");
        std::filesystem::copy_file(std::string(PLUGIN_DIR) + "/handler_" + name + ".so", path);
        EXPECT_EQ(0, ::chmod(path.c_str(), 0755));
        return path;
    }
    std::string refusal(const std::string& name) {
        const Status status = registry_.load(plugin(name));
        EXPECT_TRUE(registry_.list().empty());
        return status ? "loaded" : status.error().what;
    }
    void open(const std::string& name) {
        const Status loaded = registry_.load(plugin(name));
        ASSERT_TRUE(loaded) << loaded.error().what;
        OpenDevice request;
        request.config = name + "/disk";
        request.name = "disk";
        request.size = kSize;
        auto opened = registry_.open(std::move(request));
        ASSERT_TRUE(opened) << opened.error().what;
        device_ = std::move(*opened);
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
    Status compare_and_write(std::uint64_t offset, const std::string& expected,
                             const std::string& bytes) {
        std::string both = expected + bytes;
        const SingleData data(both.data(), both.size());
        IoRequest io(offset, data);
        io.length = expected.size();
        return run(device_->compare_and_write(queue(), io));
    }
    /// Everything a front end asks for, of a handler that has next to nothing.
    void use() {
        EXPECT_TRUE(write(512, test::pattern(65536), LUNKIT_IO_FUA));
        EXPECT_TRUE(read(512, 65536) == test::pattern(65536));
        EXPECT_TRUE(run(device_->flush(queue())));
        const IoRequest zeroes(1024, 4096);
        EXPECT_TRUE(run(device_->write_zeroes(queue(), zeroes)));
        EXPECT_EQ(std::string(4096, '\0'), read(1024, 4096));
        EXPECT_TRUE(compare_and_write(1024, std::string(512, '\0'), std::string(512, 'c')));
        EXPECT_EQ(
            EILSEQ,
            compare_and_write(1024, std::string(512, '\0'), std::string(512, 'd')).error().code);
        EXPECT_EQ(std::string(512, 'c'), read(1024, 512));
        EXPECT_FALSE(device_->info().can_discard);
        EXPECT_EQ(EOPNOTSUPP, run(device_->discard(queue(), zeroes)).error().code);
        EXPECT_EQ(EOPNOTSUPP, device_->resize(2 * kSize).error().code);
        EXPECT_EQ(ERANGE, write(kSize, std::string(512, 'w')).error().code);
    }

    HandlerRegistry registry_;
    std::unique_ptr<BlockDevice> device_;
};
LUNKIT_ON_EACH_ENGINE(PluginAbi);

TEST_P(PluginAbi, AnAsynchronousPluginOfVersionOneServes) {
    open("old_async");
    EXPECT_TRUE(device_->info().parallel);
    use();
}

TEST_P(PluginAbi, ABlockingPluginOfVersionOneServes) {
    open("old_blocking");
    EXPECT_FALSE(device_->info().parallel);
    use();
}

TEST_P(PluginAbi, ASmallerTableServesAndNothingIsReadBehindIt) {
    open("old_small");
    use();
}

TEST_P(PluginAbi, TheSentenceOfAnOldPluginIsPassedOn) {
    ASSERT_TRUE(registry_.load(plugin("old_async")));
    OpenDevice request;
    request.config = "old_async/refuse";
    request.size = kSize;
    EXPECT_EQ("the old plugin was asked to refuse",
              registry_.open(std::move(request)).error().what);
}

TEST_P(PluginAbi, ANewerAbiIsRefusedByName) {
    EXPECT_THAT(refusal("bad_newer"),
                HasSubstr("handler_bad_newer.so wants version 2 of the handler ABI; this daemon "
                          "has version 1"));
}

TEST_P(PluginAbi, WhatIsNoPluginIsRefused) {
    EXPECT_THAT(refusal("bad_nothing"),
                HasSubstr("handler_bad_nothing.so is no handler: it does not export "
                          "lunkit_handler_entry"));
}

TEST_P(PluginAbi, APluginThatCannotReadIsRefused) {
    EXPECT_THAT(refusal("bad_no_read"),
                HasSubstr("handler 'bad_no_read' has no read and no read_blocking"));
}

TEST_P(PluginAbi, APluginThatDoesNotLinkIsRefused) {
    EXPECT_THAT(refusal("bad_symbol"), HasSubstr("undefined symbol: lunkit_no_such_function"));
}

TEST_P(PluginAbi, ANameThatIsNoneIsRefused) {
    EXPECT_THAT(refusal("bad_name"), HasSubstr("'bad/name' is no handler name"));
}

TEST_P(PluginAbi, APluginThatSaysNoIsRefused) {
    EXPECT_THAT(refusal("bad_null"), HasSubstr("says that it cannot work here"));
    EXPECT_THAT(refusal("bad_load"), HasSubstr("handler 'bad_load' cannot start: No such device"));
}

}  // namespace lunkit::host
