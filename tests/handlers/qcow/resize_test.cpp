// SPDX-License-Identifier: Apache-2.0
// Disks that grow and shrink while they are served.
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>

#include "qcow_rig.hpp"

namespace lunkit::qcow {
namespace {

using ::testing::HasSubstr;

class Resized : public QcowRig {
  protected:
    /// The call is posted to the queue: requests turn its loop until it has run.
    void resize(std::uint64_t size) {
        std::optional<Status> resized;
        std::atomic<bool> ended{false};
        (void)read(0, 512);  // its queue is known from then on
        std::thread other([&] {
            resized = device_->resize(size);
            ended = true;
        });
        while (!ended) {
            (void)read(0, 512);
        }
        other.join();
        ASSERT_TRUE(*resized) << resized->error().what;
        EXPECT_EQ(size, device_->info().size);
    }
};

TEST_F(Resized, GrowsAndTheNewPartReadsAsZeros) {
    create("image", "cluster_size=4k", kMiB + 512);
    open("image");
    ASSERT_TRUE(write(0, noise(kMiB + 512, 1)));
    std::string model = read(0, kMiB + 512);
    ASSERT_NO_FATAL_FAILURE(resize(40 * kMiB));
    model.resize(40 * kMiB, '\0');
    EXPECT_EQ(model, read(0, 40 * kMiB));
    ASSERT_TRUE(write(39 * kMiB, std::string(4096, 'x')));
    model.replace(39 * kMiB, 4096, std::string(4096, 'x'));
    close();
    expect_clean("image");
    expect_content("image", model);
}
TEST_F(Resized, ShrinksOnlyWhenAllowedTo) {
    create("image", "", 4 * kMiB);
    open("image");
    const Status cut = device_->resize(2 * kMiB);
    ASSERT_FALSE(cut);
    EXPECT_THAT(cut.error().what, ::testing::AllOf(HasSubstr("4194304"), HasSubstr("shrink=on")));
    EXPECT_EQ(4 * kMiB, device_->info().size);
}
TEST_F(Resized, ShrinksAsQemuImgDoesAndSnapshotsKeepTheirs) {
    constexpr std::uint64_t kEnd = 5 * kMiB + 512;
    create("image", "cluster_size=4k", 8 * kMiB);
    qemu_io("image", "write -P 1 1M 6M");
    qemu_img({"snapshot", "-c", "kept", folder_ / "image"});
    qemu_io("image", "write -P 2 2M 5M;write -z 6M 64k");
    const std::string before = content_by_qemu("image");
    std::filesystem::copy_file(folder_ / "image", folder_ / "theirs");
    qemu_img({"resize", "-q", "--shrink", folder_ / "theirs", std::to_string(kEnd)});
    open("image", ";shrink=on");
    const std::uint64_t blocks = blocks_of("image");
    ASSERT_TRUE(write(7 * kMiB, std::string(kMiB, 'x')));  // goes as well
    ASSERT_NO_FATAL_FAILURE(resize(kEnd));
    EXPECT_EQ(before.substr(0, kEnd), read(0, kEnd));
    ASSERT_TRUE(flush());
    EXPECT_GT(blocks, blocks_of("image"));
    close();
    expect_clean("image");
    EXPECT_EQ(0, call({"qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", folder_ / "image",
                       folder_ / "theirs"}))
        << printed_;
    ASSERT_TRUE(try_open("image", 0, ";snapshot=kept"));
    EXPECT_EQ(8 * kMiB, device_->info().size);
    EXPECT_EQ(std::string(6 * kMiB, '\1'), read(kMiB, 6 * kMiB));
    // What was cut off does not come back.
    close();
    open("image");
    ASSERT_NO_FATAL_FAILURE(resize(8 * kMiB));
    EXPECT_EQ(std::string(3 * kMiB - 512, '\0'), read(kEnd, 3 * kMiB - 512));
    close();
    expect_clean("image");
}
// What is left when the process is killed after the smaller size is in the file, and before the
// front end knows of it.
TEST_F(Resized, ATakeOverInTheMiddleOfAShrinkGetsTheOldSizeBack) {
    create("image", "cluster_size=4k", 4 * kMiB);
    qemu_io("image", "write -P 1 0 4M");
    patch("image", 24, std::string("\0\0\0\0\0\x20\0\0", 8));
    EXPECT_THAT(why_not("image", 4 * kMiB), HasSubstr("the LUN has 4194304"));
    EXPECT_FALSE(try_open("image", 4 * kMiB, "", true, true));
    const Status opened = try_open("image", 4 * kMiB, ";shrink=on", false, true);
    ASSERT_TRUE(opened) << opened.error().what;
    EXPECT_EQ(4 * kMiB, device_->info().size);
    std::string model = std::string(2 * kMiB, '\1') + std::string(2 * kMiB, '\0');
    EXPECT_EQ(model, read(0, 4 * kMiB));
    ASSERT_TRUE(write(4 * kMiB - 512, std::string(512, 'x')));
    model.replace(4 * kMiB - 512, 512, 512, 'x');
    close();
    expect_clean("image");
    expect_content("image", model);
}
TEST_F(Resized, ATakeOverInTheMiddleOfAShrinkCanShrinkAgain) {
    create("image", "cluster_size=4k", 4 * kMiB);
    patch("image", 24, std::string("\0\0\0\0\0\x20\0\0", 8));
    ASSERT_TRUE(try_open("image", 4 * kMiB, ";shrink=on", false, true));
    ASSERT_NO_FATAL_FAILURE(resize(2 * kMiB));
    close();
    expect_clean("image");
    expect_content("image", std::string(2 * kMiB, '\0'));
}
TEST_F(Resized, ATakeOverInTheMiddleOfGrowingKeepsTheSizeOfTheLun) {
    create("image", "cluster_size=4k", 4 * kMiB);
    EXPECT_THAT(why_not("image", 2 * kMiB), HasSubstr("the LUN has 2097152"));
    const Status opened = try_open("image", 2 * kMiB, "", false, true);
    ASSERT_TRUE(opened) << opened.error().what;
    EXPECT_EQ(2 * kMiB, device_->info().size);
}
TEST_F(Resized, ATakeOverMakesNoNewImage) {
    EXPECT_FALSE(try_open("none", 2 * kMiB, ";create=on", false, true));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "none"));
}

}  // namespace
}  // namespace lunkit::qcow
