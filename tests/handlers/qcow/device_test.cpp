// SPDX-License-Identifier: Apache-2.0
// What the device does around plain reading and writing, one behaviour each.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string_view>
#include <variant>

#include "core/queue_set.hpp"
#include "lunkit/facts.hpp"
#include "lunkit/unique_fd.hpp"
#include "qcow_rig.hpp"

namespace lunkit::qcow {
namespace {

using ::testing::HasSubstr;

class QcowDeviceTest : public QcowRig {};

TEST_F(QcowDeviceTest, ALunOfAnotherSizeIsRefusedWithBothSizes) {
    create("image", "", 4 * kMiB);
    EXPECT_THAT(why_not("image", 8 * kMiB),
                ::testing::AllOf(HasSubstr("4194304"), HasSubstr("8388608")));
    EXPECT_EQ("", why_not("image", 4 * kMiB));
}
TEST_F(QcowDeviceTest, SnapshotsAreSelectedByIdAndNameAndReadOnly) {
    create("image", "", 4 * kMiB);
    qemu_io("image", "write -P 1 0 1M");
    qemu_img({"snapshot", "-c", "before", folder_ / "image"});
    qemu_io("image", "write -P 2 0 1M");
    open("image", ";snapshot=before");
    EXPECT_EQ(std::string(kMiB, '\1'), read(0, kMiB));
    EXPECT_TRUE(device_->info().read_only);
    EXPECT_FALSE(write(0, std::string(512, 'x')));
    open("image", ";snapshot=1");
    EXPECT_EQ(std::string(512, '\1'), read(0, 512));
    EXPECT_THAT(why_not("image", 0, ";snapshot=after"), HasSubstr("no snapshot 'after'"));
}
TEST_F(QcowDeviceTest, WritingNeverChangesASnapshot) {
    create("image", "cluster_size=4k", 4 * kMiB);
    qemu_io("image", "write -P 1 0 4M");
    qemu_img({"snapshot", "-c", "kept", folder_ / "image"});
    open("image");
    ASSERT_TRUE(write(5 * 512, std::string(3 * kMiB, 'n')));
    ASSERT_TRUE(discard(3 * kMiB, kMiB));
    close();
    expect_clean("image");
    open("image", ";snapshot=kept");
    EXPECT_EQ(std::string(4 * kMiB, '\1'), read(0, 4 * kMiB));
}
TEST_F(QcowDeviceTest, AutoclearBitsAreClearedByTheFirstWriteAndNotBefore) {
    create("image", "", 4 * kMiB);
    const std::string unknown("\0\0\0\0\0\0\1\0", 8);
    patch("image", 88, unknown);
    open("image");
    (void)read(0, 4096);
    EXPECT_EQ(unknown, bytes_at("image", 88, 8));
    ASSERT_TRUE(write(0, std::string(512, 'x')));
    EXPECT_EQ(std::string(8, '\0'), bytes_at("image", 88, 8));
}
TEST_F(QcowDeviceTest, BitmapsAreKeptAndMarkedAsInUseByTheFirstWrite) {
    create("image", "", 4 * kMiB);
    qemu_img({"bitmap", "--add", folder_ / "image", "changes"});
    open("image");
    ASSERT_TRUE(write(0, std::string(512, 'x')));
    close();
    expect_clean("image");
    qemu_img({"info", folder_ / "image"});
    EXPECT_THAT(printed_, HasSubstr("in-use"));
    qemu_img({"bitmap", "--remove", folder_ / "image", "changes"});
    expect_clean("image");
}
TEST_F(QcowDeviceTest, UnknownExtensionsAndCompatibleBitsSurvive) {
    create("image", "", 4 * kMiB);
    patch("image", 80, std::string("\x80\0\0\0\0\0\0\0", 8));
    const std::string before = bytes_at("image", 0, 512);
    open("image");
    ASSERT_TRUE(write(0, std::string(kMiB, 'x')));
    close();
    EXPECT_EQ(before, bytes_at("image", 0, 512));
}
TEST_F(QcowDeviceTest, CorruptImagesAreServedReadOnlyOnly) {
    create("image", "", 4 * kMiB);
    patch("image", 72, std::string("\0\0\0\0\0\0\0\2", 8));
    EXPECT_THAT(why_not("image"), HasSubstr("marked as corrupt"));
    EXPECT_EQ("", why_not("image", 0, ";readonly=on"));
}
TEST_F(QcowDeviceTest, FoundDamageSetsTheCorruptBitAndStopsWrites) {
    create("image", "", 4 * kMiB);
    qemu_io("image", "write -P 1 0 64k");
    // The first L2 entry points to the refcount table.
    const std::string l1 = bytes_at("image", 0x30000, 8);
    std::uint64_t l2 = 0;
    for (const char byte : l1) {
        l2 = l2 << 8U | static_cast<unsigned char>(byte);
    }
    l2 &= ~(1ULL << 63U);
    patch("image", static_cast<off_t>(l2), std::string("\x80\0\0\0\0\1\0\0", 8));
    open("image");
    EXPECT_EQ("error 5", read(0, 512));
    EXPECT_FALSE(write(kMiB, std::string(512, 'x')));
    EXPECT_EQ('\2', bytes_at("image", 72, 8)[7]);
    close();
    EXPECT_THAT(why_not("image"), HasSubstr("marked as corrupt"));
}
TEST_F(QcowDeviceTest, TablesThatPointToMetadataAreRefusedAtOpen) {
    create("image", "", 4 * kMiB);
    patch("image", 0x30000, std::string("\x80\0\0\0\0\1\0\0", 8));
    EXPECT_THAT(why_not("image"), HasSubstr("L1 entry 0 points to other metadata"));
    patch("image", 0x30000, std::string("\0\0\0\0\0\0\0\0", 8));
    patch("image", 0x10008, std::string("\0\0\0\0\0\2\0\0", 8));
    EXPECT_THAT(why_not("image"), HasSubstr("refcount table entry 1"));
}
TEST_F(QcowDeviceTest, DiscardReadsAsZerosAndGivesSpaceBack) {
    create("image", "", 16 * kMiB);
    open("image");
    ASSERT_TRUE(write(0, noise(16 * kMiB, 1)));
    ASSERT_TRUE(flush());
    const std::uint64_t before = blocks_of("image");
    ASSERT_TRUE(discard(0, 12 * kMiB));
    EXPECT_EQ(std::string(4096, '\0'), read(kMiB, 4096));
    ASSERT_TRUE(flush());
    EXPECT_LT(blocks_of("image"), before / 2);
    close();
    expect_clean("image");
}
TEST_F(QcowDeviceTest, FreedClustersAreUsedAgain) {
    create("image", "", 8 * kMiB);
    open("image");
    for (int round = 0; round < 20; ++round) {
        ASSERT_TRUE(write(0, noise(8 * kMiB, 1)));
        ASSERT_TRUE(discard(0, 8 * kMiB));
        ASSERT_TRUE(flush());
    }
    close();
    EXPECT_LT(std::filesystem::file_size(folder_ / "image"), 20 * kMiB);
    expect_clean("image");
}
TEST_F(QcowDeviceTest, ExtentsTellDataFromZerosFromHoles) {
    create("image", "", 4 * kMiB);
    open("image");
    ASSERT_TRUE(write(0, std::string(128 << 10U, 'x')));
    ASSERT_TRUE(write(256 << 10U, std::string(64 << 10U, 'x')));
    ASSERT_TRUE(write_zeroes(256 << 10U, 64 << 10U));
    const std::vector<Extent> found = extents(0, 4 * kMiB);
    ASSERT_EQ(4U, found.size());
    EXPECT_EQ(128U << 10U, found[0].length);
    EXPECT_EQ(0U, found[0].flags);
    EXPECT_EQ(LUNKIT_EXTENT_HOLE | LUNKIT_EXTENT_ZERO, found[1].flags);
    EXPECT_EQ(LUNKIT_EXTENT_ZERO, found[2].flags);
    EXPECT_EQ(4 * kMiB - (320U << 10U), found[3].length);
}
TEST_F(QcowDeviceTest, WithoutWriteCacheEachWriteIsInTheFileWhenItCompletes) {
    create("image", "", 4 * kMiB);
    open("image");
    ASSERT_TRUE(device_->set_write_cache(false));
    EXPECT_FALSE(device_->info().write_cache);
    const std::string bytes = noise(64 << 10U, 1);
    ASSERT_TRUE(write(kMiB, bytes));
    // A copy of the file as it is now, as after a crash of the process.
    std::filesystem::copy_file(folder_ / "image", folder_ / "copy");
    std::string model(4 * kMiB, '\0');
    model.replace(kMiB, bytes.size(), bytes);
    expect_content("copy", model);
    close();
}

TEST_F(QcowDeviceTest, WhatIsAcknowledgedOutlivesTheProcess) {
    create("image", "cluster_size=4k", 4 * kMiB);
    open("image");
    std::string model(4 * kMiB, '\0');
    for (std::uint64_t i = 0; i < 40; ++i) {
        const std::string bytes = noise(2048, i);
        ASSERT_TRUE(write(i * 100 * 1024, bytes));
        model.replace(i * 100 * 1024, bytes.size(), bytes);
    }
    ASSERT_TRUE(discard(0, 400 * 1024));
    model.replace(0, 400 * 1024, 400 * 1024, '\0');
    // No flush: the file as a successor finds it after kill -9.
    std::filesystem::copy_file(folder_ / "image", folder_ / "copy");
    expect_content("copy", model);
    EXPECT_NE(2, call({"qemu-img", "check", "-f", "qcow2", folder_ / "copy"})) << printed_;
}
TEST_F(QcowDeviceTest, CommitByFlushKeepsEverythingByThen) {
    create("image", "cluster_size=4k", 4 * kMiB);
    open("image", ";commit=flush");
    const std::string bytes = noise(4 * kMiB, 3);
    ASSERT_TRUE(write(0, bytes));
    ASSERT_TRUE(flush());
    std::filesystem::copy_file(folder_ / "image", folder_ / "copy");
    expect_content("copy", bytes);
    // The stock of a live image is a leak to others, and no more than that.
    EXPECT_NE(2, call({"qemu-img", "check", "-f", "qcow2", folder_ / "copy"})) << printed_;
    close();
    expect_clean("image");
}

// A cache of 16 slices, all of which wait for the flush when the next one comes.
TEST_F(QcowDeviceTest, ASmallCacheFullOfChangesLosesNoneOfThem) {
    constexpr std::uint64_t kSlice = 32 * kMiB;  // of the disk, that a slice of an L2 table covers
    constexpr std::uint64_t kSlices = 40;
    create("image", "", kSlices * kSlice);
    open("image", ";commit=flush;cache=64K");
    for (std::uint64_t slice = 0; slice < kSlices; ++slice) {
        ASSERT_TRUE(write(slice * kSlice, noise(4096, slice)));
        if (slice == 16) {
            ASSERT_TRUE(flush());
        }
    }
    for (std::uint64_t slice = 0; slice < kSlices; ++slice) {
        EXPECT_TRUE(noise(4096, slice) == read(slice * kSlice, 4096)) << slice;
    }
    close();
    expect_clean("image");
}
TEST_F(QcowDeviceTest, AnOrderlyEndGivesTheStockBack) {
    create("image", "", 64 * kMiB);
    open("image");
    ASSERT_TRUE(write(0, noise(kMiB, 1)));
    ASSERT_TRUE(write(2 * kMiB, noise(4096, 2)));
    std::filesystem::copy_file(folder_ / "image", folder_ / "copy");
    EXPECT_EQ(3, call({"qemu-img", "check", "-f", "qcow2", folder_ / "copy"})) << printed_;
    close();
    expect_clean("image");
}

class BackingFiles : public QcowDeviceTest {};

TEST_F(BackingFiles, WithoutAFormatAreRefused) {
    test::write_file(folder_ / "base", noise(kMiB, 1));
    create("image", "backing_file=base,backing_fmt=raw", kMiB);
    qemu_img({"rebase", "-u", "-f", "qcow2", "-b", "", folder_ / "image"});
    // An extension of another type in the place of the format's.
    create("image", "backing_file=base,backing_fmt=raw", kMiB);
    const std::string header = bytes_at("image", 0, 512);
    const std::size_t at = header.find("\xe2\x79\x2a\xca");
    ASSERT_NE(std::string::npos, at);
    patch("image", static_cast<off_t>(at), "\x11\x22\x33\x44");
    EXPECT_THAT(why_not("image"), HasSubstr("does not say the format"));
}
TEST_F(BackingFiles, OutsideOfTheFolderAreRefused) {
    ASSERT_TRUE(std::filesystem::create_directory(folder_ / "inner"));
    test::write_file(folder_ / "base", noise(kMiB, 1));
    create("inner/image", "backing_file=../base,backing_fmt=raw", kMiB);
    EXPECT_THAT(why_not("inner/image"), HasSubstr("outside"));
    EXPECT_EQ("", why_not("inner/image", 0, ";backing=" + folder_.path()));
}
TEST_F(BackingFiles, SymbolicLinksAreRefused) {
    test::write_file(folder_ / "base", noise(kMiB, 1));
    std::filesystem::create_symlink(folder_ / "base", folder_ / "link");
    create("image", "backing_file=link,backing_fmt=raw", kMiB);
    EXPECT_NE("", why_not("image"));
}
// Also where a cluster or what lies below goes on behind that end.
TEST_F(BackingFiles, EndWithTheirDisk) {
    constexpr std::uint64_t kEnd = kMiB + 512;
    test::write_file(folder_ / "base", noise(4 * kMiB, 1));
    create("short", "backing_file=base,backing_fmt=raw", kEnd);
    create("short2m", "cluster_size=2M,backing_file=base,backing_fmt=raw", kEnd);
    create("shrunk", "", 2 * kMiB);
    qemu_io("shrunk", "write -P 5 0 2M");
    qemu_img({"resize", "-q", "--shrink", folder_ / "shrunk", std::to_string(kEnd)});
    for (const std::string below : {"short", "short2m", "shrunk"}) {
        SCOPED_TRACE(below);
        create("image", "backing_fmt=qcow2,backing_file=" + below, 4 * kMiB);
        std::string model = content_by_qemu("image");
        ASSERT_TRUE(model.substr(kEnd) == std::string(3 * kMiB - 512, '\0'));
        open("image");
        EXPECT_TRUE(model == read(0, 4 * kMiB));
        ASSERT_TRUE(write_zeroes(kEnd + 1024, 512));
        EXPECT_TRUE(std::string(512, '\0') == read(kEnd + 1024, 512));
        ASSERT_TRUE(discard(kMiB + 65536, 65536));
        EXPECT_TRUE(std::string(65536, '\0') == read(kMiB + 65536, 65536));
        ASSERT_TRUE(write(kEnd + 4096, std::string(512, 'x')));  // its cluster is copied
        model.replace(kEnd + 4096, 512, 512, 'x');
        EXPECT_TRUE(model == read(0, 4 * kMiB));
        close();
        expect_clean("image");
        expect_content("image", model);
    }
}
TEST_F(BackingFiles, CanBeForbidden) {
    test::write_file(folder_ / "base", noise(kMiB, 1));
    create("image", "backing_file=base,backing_fmt=raw", kMiB);
    EXPECT_THAT(why_not("image", 0, ";backing=off"), HasSubstr("backing=off"));
}
TEST_F(BackingFiles, LoopsAreRefused) {
    create("one", "", kMiB);
    create("two", "backing_file=one,backing_fmt=qcow2", kMiB);
    qemu_img({"rebase", "-u", "-f", "qcow2", "-b", "two", "-F", "qcow2", folder_ / "one"});
    EXPECT_NE("", why_not("one"));
}
TEST_F(BackingFiles, AreNotWrittenToNorMarked) {
    test::write_file(folder_ / "base", noise(kMiB, 1));
    create("image", "backing_file=base,backing_fmt=raw", kMiB);
    open("image");
    ASSERT_TRUE(write(512, std::string(kMiB / 2, 'x')));
    close();
    EXPECT_EQ(noise(kMiB, 1), test::read_file(folder_ / "base"));
}

class NewImage : public QcowDeviceTest {};

TEST_F(NewImage, IsMadeOnlyWhenAskedForAndWithASize) {
    EXPECT_NE("", why_not("image", 4 * kMiB));
    EXPECT_NE("", why_not("image", 0, ";create=on"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "image"));
    const std::string path = "qcow/" + (folder_ / "image");
    EXPECT_TRUE(handlers().check_config(path + ";create=on", false));
    EXPECT_FALSE(handlers().check_config("qcow//nowhere/image;create=on", false));
    EXPECT_FALSE(handlers().check_config(path + ";create=on;readonly=on", true));
}
TEST_F(NewImage, IsOneToQemuAndKeepsWhatIsWritten) {
    const Status made = try_open("image", 5 * kMiB + 512, ";create=on");
    ASSERT_TRUE(made) << made.error().what;
    ASSERT_TRUE(write(3 * kMiB, std::string(kMiB, 'x')));
    close();
    expect_clean("image");
    std::string model(5 * kMiB + 512, '\0');
    model.replace(3 * kMiB, kMiB, kMiB, 'x');
    expect_content("image", model);
    // A second time it is there, and is not made anew.
    ASSERT_TRUE(try_open("image", 5 * kMiB + 512, ";create=on"));
    EXPECT_EQ(model, read(0, model.size()));
    close();
    EXPECT_THAT(why_not("image", kMiB, ";create=on"), HasSubstr("the LUN has 1048576"));
}
TEST_F(NewImage, HasRoomForLargeDisksAndRefusesWhatTheFormatCannot) {
    const std::uint64_t tera = 1ULL << 40U;
    ASSERT_TRUE(try_open("image", 20 * tera, ";create=on"));
    ASSERT_TRUE(write(20 * tera - kMiB, std::string(kMiB, 'x')));
    close();
    expect_clean("image");
    EXPECT_THAT(why_not("other", 4096 * tera, ";create=on"), HasSubstr("more than an image"));
}

class DataFile : public QcowDeviceTest {
  protected:
    void create_with_data(const std::string& raw, const std::string& data) {
        create("image", "data_file=" + data + ",data_file_raw=" + raw, 4 * kMiB);
    }
};

TEST_F(DataFile, IsRefusedUnlessAllowed) {
    create_with_data("off", folder_ / "data");
    EXPECT_THAT(why_not("image"), HasSubstr("data_file=off"));
    EXPECT_EQ("", why_not("image", 0, ";data_file=confined"));
    EXPECT_EQ("", why_not("image", 0, ";data_file=" + folder_.path()));
}
TEST_F(DataFile, OutsideOfTheFolderIsRefused) {
    test::BuildFolder elsewhere;
    create_with_data("off", elsewhere / "data");
    EXPECT_THAT(why_not("image", 0, ";data_file=confined"), HasSubstr("outside"));
}
TEST_F(DataFile, MustBeARegularFileAndNotTheImage) {
    create_with_data("off", folder_ / "data");
    std::filesystem::remove(folder_ / "data");
    ASSERT_EQ(0, ::mkfifo((folder_ / "data").c_str(), 0600));
    EXPECT_NE("", why_not("image", 0, ";data_file=confined"));
    std::filesystem::remove(folder_ / "data");
    std::filesystem::create_hard_link(folder_ / "image", folder_ / "data");
    EXPECT_NE("", why_not("image", 0, ";data_file=confined"));
}
TEST_F(DataFile, ThatIsRawHoldsTheDiskByItself) {
    create_with_data("on", folder_ / "data");
    open("image", ";data_file=confined");
    std::string model = noise(4 * kMiB, 1);
    ASSERT_TRUE(write(0, model));
    ASSERT_TRUE(discard(kMiB, kMiB));
    ASSERT_TRUE(write_zeroes(3 * kMiB + 512, 4096));
    close();
    model.replace(kMiB, kMiB, kMiB, '\0');
    model.replace(3 * kMiB + 512, 4096, 4096, '\0');
    EXPECT_EQ(model, test::read_file(folder_ / "data"));
    expect_clean("image");
    expect_content("image", model);
    qemu_img({"info", folder_ / "image"});
    EXPECT_THAT(printed_, HasSubstr("data file raw: true"));
}
TEST_F(DataFile, GivesDiscardedSpaceBack) {
    create_with_data("off", folder_ / "data");
    open("image", ";data_file=confined");
    ASSERT_TRUE(write(0, noise(4 * kMiB, 1)));
    ASSERT_TRUE(flush());
    const std::uint64_t before = blocks_of("data");
    ASSERT_TRUE(discard(0, 3 * kMiB));
    EXPECT_LT(blocks_of("data"), before / 2);
    EXPECT_EQ(std::string(4096, '\0'), read(kMiB, 4096));
}

TEST_F(QcowDeviceTest, CheckConfigOpensTheImageAndLeavesItAlone) {
    create("image", "", kMiB);
    const std::string path = "qcow/" + (folder_ / "image");
    EXPECT_TRUE(handlers().check_config(path, false));
    EXPECT_FALSE(handlers().check_config(path + "x", false));
    EXPECT_TRUE(handlers().check_config(path + "x", true));
    EXPECT_FALSE(handlers().check_config(path + ";colour=red", true));
}
TEST_F(QcowDeviceTest, OtherProgramsAreLockedOutWhileItServes) {
    create("image", "", kMiB);
    open("image");
    EXPECT_NE(0, call({"qemu-io", "-f", "qcow2", "-c", "write 0 512", folder_ / "image"}));
    EXPECT_THAT(printed_, HasSubstr("lock"));
}

class Inspection : public QcowDeviceTest {
  protected:
    Result<Facts> inspect(const std::string& image, host::Inspection how,
                          const std::string& keys = "") {
        const auto queues =
            core::QueueSet::start(core::EngineChoice::kThreads, 1, std::chrono::microseconds(0));
        EXPECT_TRUE(queues);
        return handlers().inspect("qcow/" + (folder_ / image) + keys, how, (*queues)->at(0));
    }
    template <typename T>
    static T fact(const Result<Facts>& facts, std::string_view key) {
        EXPECT_TRUE(facts) << facts.error().what;
        if (facts) {
            const auto found = std::ranges::find(*facts, key, &Fact::key);
            if (found != facts->end()) {
                return std::get<T>(found->value);
            }
        }
        return {};
    }
    static std::uint64_t number(const Result<Facts>& facts, std::string_view key) {
        return fact<std::uint64_t>(facts, key);
    }
    static std::string text(const Result<Facts>& facts, std::string_view key) {
        return fact<std::string>(facts, key);
    }
    /// Overwrites the 16-bit refcount of a cluster in the first refcount block of a new image.
    void set_refcount(const std::string& image, off_t cluster, std::string_view count) {
        constexpr off_t kFirstBlock = 2 * 65536;
        patch(image, kFirstBlock + 2 * cluster, count);
    }
};

TEST_F(Inspection, DescribesWhatTheHeaderSays) {
    create("image", "cluster_size=32k,lazy_refcounts=on,compression_type=zstd", 4 * kMiB);
    qemu_img({"snapshot", "-c", "before", folder_ / "image"});
    const auto facts = inspect("image", host::Inspection::kDescribe);
    EXPECT_EQ(4 * kMiB, number(facts, "virtual_size"));
    EXPECT_EQ(32768U, number(facts, "cluster_size"));
    EXPECT_EQ(3U, number(facts, "version"));
    EXPECT_EQ(16U, number(facts, "refcount_bits"));
    EXPECT_EQ("zstd", text(facts, "compression"));
    EXPECT_TRUE(fact<bool>(facts, "lazy_refcounts"));
    EXPECT_FALSE(fact<bool>(facts, "corrupt"));
    EXPECT_EQ(std::vector<std::string>{"before"},
              fact<std::vector<std::string>>(facts, "snapshot_names"));
}
TEST_F(Inspection, DescribesWithoutTheFilesThatTheImageNames) {
    create("base", "", kMiB);
    create("image", "backing_fmt=qcow2,backing_file=" + (folder_ / "base"), kMiB);
    std::filesystem::remove(folder_ / "base");
    EXPECT_EQ(folder_ / "base",
              text(inspect("image", host::Inspection::kDescribe), "backing_file"));
    EXPECT_FALSE(inspect("image", host::Inspection::kVerify));
}
TEST_F(Inspection, FindsNothingWrongInSoundImages) {
    for (const std::string options : {"", "extended_l2=on", "refcount_bits=1", "compat=0.10"}) {
        std::filesystem::remove(folder_ / "image");
        create("image", options, 8 * kMiB);
        qemu_io("image", "write -P 1 0 3M;write -P 2 5M 64k;discard 1M 1M");
        qemu_io("image", "write -c -P 3 6M 64k");
        if (options != "refcount_bits=1") {
            qemu_img({"snapshot", "-c", "kept", folder_ / "image"});
            qemu_io("image", "write -P 4 0 1M");
        }
        const auto facts = inspect("image", host::Inspection::kVerify);
        EXPECT_EQ("", text(facts, "damage")) << options;
        EXPECT_EQ(0U, number(facts, "leaked_clusters")) << options;
    }
}
TEST_F(Inspection, FreesLeakedClustersWhenAskedTo) {
    create("image", "", 4 * kMiB);
    qemu_io("image", "write -P 1 0 1M");
    std::filesystem::resize_file(folder_ / "image", 40 * 65536);
    set_refcount("image", 38, std::string_view("\0\1\0\2", 4));
    EXPECT_EQ(2U, number(inspect("image", host::Inspection::kVerify), "leaked_clusters"));
    EXPECT_EQ(2U, number(inspect("image", host::Inspection::kRepairLeaks), "repaired_clusters"));
    expect_clean("image");
    EXPECT_EQ(0U, number(inspect("image", host::Inspection::kVerify), "leaked_clusters"));
}
TEST_F(Inspection, RepairsNothingWhereSomethingIsDamaged) {
    create("image", "", 4 * kMiB);
    qemu_io("image", "write -P 1 0 1M");
    std::filesystem::resize_file(folder_ / "image", 40 * 65536);
    set_refcount("image", 38, std::string_view("\0\1", 2));
    set_refcount("image", 7, std::string_view("\0\0", 2));
    const std::string before = test::read_file(folder_ / "image");
    const auto facts = inspect("image", host::Inspection::kRepairLeaks);
    EXPECT_THAT(text(facts, "damage"), HasSubstr("too low"));
    EXPECT_EQ(0U, number(facts, "repaired_clusters"));
    EXPECT_TRUE(before == test::read_file(folder_ / "image"));
}
TEST_F(Inspection, RepairMendsTheCountsOfADirtyImage) {
    create("image", "lazy_refcounts=on", 4 * kMiB);
    qemu_io("image", "write -P 1 0 1M");
    patch("image", 79, "\1");
    set_refcount("image", 7, std::string_view("\0\0", 2));
    EXPECT_THAT(text(inspect("image", host::Inspection::kVerify), "damage"), HasSubstr("too low"));
    const auto repaired = inspect("image", host::Inspection::kRepairLeaks);
    EXPECT_EQ("", text(repaired, "damage"));
    EXPECT_FALSE(fact<bool>(repaired, "dirty"));
    expect_clean("image");
}
TEST_F(Inspection, OfAnImageThatIsServedOnlyDescribes) {
    create("image", "", kMiB);
    open("image");
    EXPECT_EQ(kMiB, number(inspect("image", host::Inspection::kDescribe), "virtual_size"));
    const auto facts = inspect("image", host::Inspection::kVerify);
    ASSERT_FALSE(facts);
    EXPECT_EQ(EBUSY, facts.error().code) << facts.error().what;
}
TEST_F(Inspection, RepairContradictsReadOnly) {
    create("image", "", kMiB);
    EXPECT_FALSE(inspect("image", host::Inspection::kRepairLeaks, ";readonly=on"));
}

}  // namespace
}  // namespace lunkit::qcow
