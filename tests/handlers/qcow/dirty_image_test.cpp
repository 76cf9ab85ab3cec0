// SPDX-License-Identifier: Apache-2.0
// Images with the dirty bit: written at once, and mended behind the requests.
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>

#include "qcow_rig.hpp"

namespace lunkit::qcow {
namespace {

class DirtyImage : public QcowRig {
  protected:
    /// As a writer leaves it that defers refcounts and is killed: they are all 0 but for the first.
    void make_dirty(const std::string& options) {
        create("image", options, 4 * kMiB);
        qemu_io("image", "write -P 1 0 1M;write -P 2 2M 64k");
        qemu_img({"snapshot", "-c", "kept", folder_ / "image"});
        qemu_io("image", "write -P 3 512k 1M");
        model_ = content_by_qemu("image");
        patch("image", 72, std::string("\0\0\0\0\0\0\0\1", 8));
        const off_t block = options.starts_with("cluster_size=4k") ? 0x2000 : 0x20000;
        patch("image", block + 8, std::string(1000, '\0'));
    }
    void TearDown() override {
        if (device_ != nullptr) {
            close();
        }
    }
    bool is_marked() { return (bytes_at("image", 72, 8)[7] & 1) != 0; }
    /// What goes on behind the requests does so while the loop turns; closing waits for its end.
    void turn_until_mended() {
        for (int i = 0; i < 10'000 && is_marked(); ++i) {
            (void)read(0, 512);
        }
        ASSERT_FALSE(is_marked());
        ASSERT_TRUE(flush());
    }
    void close() {
        std::thread closing([this] {
            device_.reset();
            queue_->stop();
        });
        queue_->run();
        closing.join();
    }
    std::string model_;
};
TEST_F(DirtyImage, IsReadAndWrittenAtOnceAndMendedBehind) {
    make_dirty("lazy_refcounts=on");
    const std::uintmax_t end = std::filesystem::file_size(folder_ / "image");
    const std::string before = test::read_file(folder_ / "image");
    open("image");
    EXPECT_EQ(model_, read(0, 4 * kMiB));
    EXPECT_TRUE(is_marked());
    ASSERT_TRUE(write(512U << 10U, std::string(kMiB, 'n')));
    model_.replace(512U << 10U, kMiB, kMiB, 'n');
    EXPECT_EQ(model_, read(0, 4 * kMiB));
    // The header, and the L1 table that leads to what is new, but nothing else of before.
    const std::string after = test::read_file(folder_ / "image");
    EXPECT_EQ(before.substr(0x40000, end - 0x40000), after.substr(0x40000, end - 0x40000));
    turn_until_mended();
    ASSERT_TRUE(write(3 * kMiB, std::string(kMiB, 'o')));
    model_.replace(3 * kMiB, kMiB, kMiB, 'o');
    close();
    expect_clean("image");
    expect_content("image", model_);
}
TEST_F(DirtyImage, WhoseRefcountBlockIsLostIsMendedToo) {
    make_dirty("cluster_size=4k,lazy_refcounts=on");
    // The first entry of the refcount table: as if the block had never been written.
    patch("image", 0x1000, std::string(8, '\0'));
    open("image");
    ASSERT_TRUE(write(3 * kMiB, std::string(kMiB, 'n')));
    model_.replace(3 * kMiB, kMiB, kMiB, 'n');
    turn_until_mended();
    close();
    expect_clean("image");
    expect_content("image", model_);
}
TEST_F(DirtyImage, WithTwoOwnersOfOneClusterIsNotWrittenAnyMoreAndKeepsBoth) {
    make_dirty("lazy_refcounts=on");
    // The active L1 table's entry, of a table of its own, becomes the snapshot's too.
    const std::string header = bytes_at("image", 0, 104);
    const auto number = [](const std::string& bytes) {
        std::uint64_t value = 0;
        for (const char byte : bytes) {
            value = value << 8U | static_cast<unsigned char>(byte);
        }
        return value;
    };
    const std::uint64_t active = number(header.substr(40, 8));
    const std::uint64_t snapshots = number(header.substr(64, 8));
    const std::uint64_t kept = number(bytes_at("image", snapshots, 8));
    patch("image", static_cast<off_t>(kept), bytes_at("image", active, 8));
    open("image");
    EXPECT_EQ(model_, read(0, 4 * kMiB));
    ASSERT_TRUE(write(0, std::string(512, 'x')));  // before anybody knows
    for (int i = 0; i < 1000 && write(1024, std::string(512, 'y')); ++i) {
    }
    EXPECT_FALSE(write(0, std::string(512, 'z')));
    EXPECT_TRUE(flush());
    EXPECT_EQ(std::string(512, 'x'), read(0, 512));
    close();
    EXPECT_TRUE(is_marked());
    ASSERT_TRUE(try_open("image", 0, ";snapshot=kept"));
    EXPECT_EQ(model_, read(0, 4 * kMiB));
}

}  // namespace
}  // namespace lunkit::qcow
