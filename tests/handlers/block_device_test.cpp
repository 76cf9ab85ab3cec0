// SPDX-License-Identifier: Apache-2.0
// The file handler on a block device. Needs root and a device to overwrite, so it runs only where
// LUNKIT_BLOCK_DEVICE names one (8 MiB or more): e.g. `losetup -b 4096 -f --show image`.
#include <cstdlib>

#include <gmock/gmock.h>

#include "handler_rig.hpp"

namespace lunkit::test {

using ::testing::HasSubstr;

class FileHandlerOnABlockDevice : public HandlerRig {
  protected:
    void SetUp() override {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets the environment of a test
        const char* const given = std::getenv("LUNKIT_BLOCK_DEVICE");
        if (given == nullptr) {
            GTEST_SKIP() << "LUNKIT_BLOCK_DEVICE names no device to overwrite";
        }
        path_ = given;
        HandlerRig::SetUp();
    }
    /// Blocks of 512 bytes, also where the device's are larger.
    void use() {
        constexpr std::size_t kWritten = 1 << 20;
        EXPECT_TRUE(write(0, pattern(kWritten)));
        EXPECT_TRUE(write(512, pattern(5120, 2), LUNKIT_IO_FUA));
        EXPECT_TRUE(write_zeroes(1536, 65536));
        EXPECT_TRUE(write_zeroes(131584, 65536, LUNKIT_IO_MAY_UNMAP));
        EXPECT_TRUE(flush());
        std::string expected = pattern(kWritten);
        expected.replace(512, 5120, pattern(5120, 2));
        expected.replace(1536, 65536, 65536, '\0');
        expected.replace(131584, 65536, 65536, '\0');
        EXPECT_TRUE(expected == read(0, kWritten));
        if (device_->info().can_discard) {
            EXPECT_TRUE(discard(512, 65536));
            EXPECT_TRUE(expected.substr(0, 512) == read(0, 512));
        }
    }
    std::string path_;
};
LUNKIT_ON_EACH_ENGINE(FileHandlerOnABlockDevice);

TEST_P(FileHandlerOnABlockDevice, Serves) {
    open("file/" + path_, 0);
    EXPECT_FALSE(device_->info().can_extents);
    use();
}

TEST_P(FileHandlerOnABlockDevice, ServesDirectly) {
    open("file/" + path_ + ";direct=on", 0);
    use();
}

TEST_P(FileHandlerOnABlockDevice, MayBeLargerThanTheLunButNotSmaller) {
    open("file/" + path_, 0);
    const std::uint64_t size = device_->info().size;
    device_.reset();
    EXPECT_THAT(why(try_open("file/" + path_, 2 * size)), HasSubstr("it does not fit"));
    ASSERT_EQ("", why(try_open("file/" + path_, size / 4)));
    EXPECT_EQ("", why(device_->resize(size)));
    EXPECT_EQ("", why(device_->resize(size / 2)));
    EXPECT_THAT(why(device_->resize(2 * size)), HasSubstr(std::to_string(size)));
}

}  // namespace lunkit::test
