// SPDX-License-Identifier: Apache-2.0
// What happens to an image that is repaired, and to one that is resized, when the file fails or the
// power goes at a bad time.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "lunkit/unique_fd.hpp"
#include "rig/checker.hpp"
#include "rig/image_kind.hpp"
#include "rig/plugin_test.hpp"
#include "rig/process.hpp"
#include "rig/replayer.hpp"

namespace lunkit::qcow_rig {
namespace {

constexpr std::uint64_t kSizeField = 24;
constexpr std::uint64_t kL1Field = 40;
constexpr std::uint64_t kRefcountTableField = 48;
constexpr std::uint64_t kFeaturesField = 72;
constexpr std::uint64_t kAutoclearField = 88;
constexpr std::uint64_t kWholeTable = 64U << 10U;  // an L2 table of an image with such clusters
constexpr std::uint64_t kUnwritten = 1U << 20U;    // by those who made the image: its first hole

class FaultTest : public PluginTest {
  protected:
    void build(const char* kind) {
        auto built = BuiltImage::build(*find_kind(kind));
        ASSERT_TRUE(built) << built.error().what;
        image_ = std::move(*built);
    }
    void open(const std::string& keys = "") {
        auto opened = Subject::open(entry(), host_, {.config = image_->config() + keys});
        ASSERT_TRUE(opened) << opened.error().what;
        disk_ = std::move(*opened);
    }
    void close() {
        disk_->close();
        disk_.reset();
    }
    Status write(std::uint64_t offset, char byte) {
        std::vector<std::byte> bytes(512, static_cast<std::byte>(byte));
        return disk_->run(Verb::kWrite, offset, bytes);
    }
    char read(std::uint64_t offset) {
        std::vector<std::byte> bytes(512);
        return disk_->run(Verb::kRead, offset, bytes) ? static_cast<char>(bytes[0]) : '\0';
    }
    /// What goes on behind the requests; false: nothing is left of it.
    bool turn(unsigned steps) {
        bool more = true;
        while (more && steps-- > 0) {
            more = host_.queue().step();
        }
        return more;
    }
    std::string file() {
        std::ifstream in(image_->path(), std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void patch(std::uint64_t at, const std::string& bytes) {
        const UniqueFd fd(::open(image_->path().c_str(), O_RDWR | O_CLOEXEC));
        ASSERT_EQ(static_cast<ssize_t>(bytes.size()),
                  ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(at)));
    }
    std::uint64_t number(std::uint64_t at) {
        std::uint64_t value = 0;
        for (const char byte : file().substr(at, 8)) {
            value = value << 8U | static_cast<unsigned char>(byte);
        }
        return value;
    }
    bool is_marked() { return (number(kFeaturesField) & 1) != 0; }
    void expect_clean() {
        const Finished check = run_program({"qemu-img", "check", image_->path()});
        EXPECT_EQ(0, check.exit_code) << check.output;
    }
    /// Whatever is written fails, but for the features in the header.
    void fill_up() {
        host_.set_faults([](FileCall call, std::uint64_t offset, std::uint64_t) {
            return call == FileCall::kWrite && offset != kFeaturesField ? Fault{ENOSPC, false}
                                                                        : Fault{};
        });
    }

    WriteLog log_;
    RecordingHost host_{1, &log_};
    std::unique_ptr<BuiltImage> image_;
    std::unique_ptr<Subject> disk_;
};

TEST_F(FaultTest, AFailedWriteOfTheAutoclearFeaturesStartsNoSecondRepair) {
    build("dirty-c512");
    patch(kAutoclearField, std::string("\0\0\0\0\0\0\0\x20", 8));
    open();
    unsigned failures = 0;
    host_.set_faults([&failures](FileCall call, std::uint64_t offset, std::uint64_t) {
        return call == FileCall::kWrite && offset == kAutoclearField && failures++ < 2
                   ? Fault{ENOSPC, false}
                   : Fault{};
    });
    EXPECT_FALSE(write(0, 'a'));
    EXPECT_FALSE(turn(100'000));
    EXPECT_TRUE(is_marked());  // no repair before the first change
    EXPECT_FALSE(write(0, 'b'));
    ASSERT_TRUE(write(0, 'c'));
    EXPECT_FALSE(turn(100'000));
    EXPECT_FALSE(is_marked());
    EXPECT_EQ(0U, number(kAutoclearField));
    EXPECT_EQ('c', read(0));
    close();
    expect_clean();
}
TEST_F(FaultTest, ARepairGoesOnWhenThereIsRoomAgain) {
    build("dirty-c512");
    open();
    ASSERT_TRUE(write(0, 'a'));
    ASSERT_TRUE(is_marked());
    fill_up();
    EXPECT_TRUE(turn(5'000)) << "it gave up";
    EXPECT_TRUE(is_marked());
    host_.set_faults({});
    ASSERT_TRUE(write(0, 'b'));
    EXPECT_FALSE(turn(100'000));
    EXPECT_FALSE(is_marked());
    close();
    expect_clean();
}
TEST_F(FaultTest, ARepairEndsWhenAFlushHasFailed) {
    build("dirty-c512");
    open();
    ASSERT_TRUE(write(0, 'a'));
    ASSERT_TRUE(is_marked());
    host_.set_faults([](FileCall call, std::uint64_t, std::uint64_t) {
        return call == FileCall::kFlush ? Fault{EIO, false} : Fault{};
    });
    EXPECT_FALSE(turn(100'000)) << "it tries again for ever";
    EXPECT_TRUE(is_marked());
    EXPECT_EQ('a', read(0));
    EXPECT_FALSE(disk_->run(Verb::kFlush, 0, 0));
    host_.set_faults({});
    close();
    EXPECT_TRUE(is_marked());
    open();
    ASSERT_TRUE(write(512, 'b'));
    EXPECT_FALSE(turn(100'000));
    EXPECT_FALSE(is_marked());
    close();
    expect_clean();
}
TEST_F(FaultTest, WritesFailWhileADeviceCannotBeCountedAndSucceedLater) {
    build("dirty-device");
    host_.set_block_devices(true);
    open();
    host_.set_faults([](FileCall call, std::uint64_t, std::uint64_t length) {
        return call == FileCall::kRead && length == kWholeTable ? Fault{EIO, false} : Fault{};
    });
    ASSERT_TRUE(write(0, 'a'));  // in place
    EXPECT_FALSE(write(kUnwritten, 'b'));
    EXPECT_EQ('\0', read(kUnwritten));
    host_.set_faults({});
    EXPECT_FALSE(turn(100'000));
    EXPECT_FALSE(is_marked());
    ASSERT_TRUE(write(kUnwritten, 'c'));
    EXPECT_EQ('a', read(0));
    EXPECT_EQ('c', read(kUnwritten));
    const std::size_t size = file().size();
    close();
    EXPECT_EQ(size, file().size());
    expect_clean();
}
// Who walks the tables finds the last cluster in use. Counts behind it may be too high: a leak.
TEST_F(FaultTest, LeaksBehindTheLastClusterInUseOfADeviceAreFreed) {
    build("dirty-device");
    host_.set_block_devices(true);
    const std::uint64_t block = number(number(kRefcountTableField));
    const std::uint64_t first = file().size() / kWholeTable - 4;
    patch(block + first * 2, std::string("\0\1\0\1", 4));
    open();
    ASSERT_TRUE(write(kUnwritten, 'a'));
    EXPECT_FALSE(turn(100'000));
    EXPECT_FALSE(is_marked());
    close();
    expect_clean();
}
// Its refcount block may be lost like its counts.
TEST_F(FaultTest, ADeviceWhoseRefcountBlockIsLostGetsAnotherBehindWhatIsUsed) {
    build("dirty-device");
    host_.set_block_devices(true);
    patch(number(kRefcountTableField), std::string(8, '\0'));
    open();
    ASSERT_TRUE(write(kUnwritten, 'a'));
    EXPECT_FALSE(turn(100'000));
    EXPECT_FALSE(is_marked());
    close();
    expect_clean();
}
TEST_F(FaultTest, ARepairWritesNothingMoreToAnImageMarkedAsCorrupt) {
    build("dirty-c512");
    open();
    ASSERT_TRUE(write(0, 'a'));
    ASSERT_TRUE(is_marked());
    fill_up();
    EXPECT_TRUE(turn(5'000));
    // The entry of the L1 table for the end of the disk leads nowhere.
    const std::uint64_t table =
        number(number(kL1Field) + (512U << 10U) / (32U << 10U) * 8) & ~(3ULL << 62U);
    ASSERT_NE(0U, table);
    patch(table, std::string("\x80\0\0\0\0\0\0\x01", 8) + std::string(504, '\x77'));
    EXPECT_EQ('\0', read(512U << 10U));
    host_.set_faults({});
    const std::string before = file();
    EXPECT_NE(0U, number(kFeaturesField) & 2);
    EXPECT_FALSE(turn(100'000));
    EXPECT_EQ(before, file());
    close();
    EXPECT_EQ(before, file());
}
TEST_F(FaultTest, ADirtyImageThatIsClosedWhileItIsMendedLosesNothing) {
    build("dirty-c512");
    open();
    ASSERT_TRUE(write(0, 'a'));
    fill_up();  // it cannot end before close() stops it
    close();
    ASSERT_TRUE(is_marked()) << "the repair had ended before";
    host_.set_faults({});
    open();
    EXPECT_EQ('a', read(0));
    ASSERT_TRUE(write(512, 'b'));
    EXPECT_FALSE(turn(100'000));
    EXPECT_FALSE(is_marked());
    EXPECT_EQ('a', read(0));
    EXPECT_EQ('b', read(512));
    close();
    expect_clean();
}
TEST_F(FaultTest, AShrinkThatCannotBeMadeDurableLeavesTheOldSize) {
    build("v3");
    open(";shrink=on");
    ASSERT_TRUE(write(0, 'a'));
    const std::uint64_t size = number(kSizeField);
    bool written = false;
    host_.set_faults([&written](FileCall call, std::uint64_t offset, std::uint64_t) {
        const bool fails = written && call == FileCall::kFlush;
        written = written || (call == FileCall::kWrite && offset == kSizeField);
        return fails ? Fault{EIO, false} : Fault{};
    });
    EXPECT_FALSE(disk_->resize(size / 2));
    EXPECT_TRUE(written);
    EXPECT_EQ(size, number(kSizeField));
}
TEST_F(FaultTest, AGrowthThatFailsLeaksNothing) {
    // L1 tables that fit behind what is counted, and one that takes more refcount blocks.
    for (const std::uint64_t size : {8ULL << 20U, 512ULL << 20U}) {
        const std::uint64_t l1_bytes = size / (32U << 10U) * 8;
        build("c512");
        open();
        ASSERT_TRUE(write(0, 'a'));
        unsigned failures = 0;
        host_.set_faults([&](FileCall call, std::uint64_t, std::uint64_t length) {
            const bool fails = call == FileCall::kWrite && length == l1_bytes;
            failures += fails ? 1 : 0;
            return fails ? Fault{ENOSPC, false} : Fault{};
        });
        EXPECT_FALSE(disk_->resize(size));
        EXPECT_FALSE(disk_->resize(size));
        EXPECT_EQ(2U, failures);
        host_.set_faults({});
        close();
        expect_clean();
    }
}
TEST_F(FaultTest, DamageThatIsFoundByGrowingIsMarked) {
    build("v3");
    // The first entry behind the end of the disk leads nowhere.
    constexpr std::uint64_t kCluster = 64U << 10U;
    const std::uint64_t size = number(kSizeField);
    const std::uint64_t table = number(number(kL1Field)) & kOffsetMask;
    patch(table + size / kCluster * 8, std::string("\x80\0\0\0\0\0\0\x7e", 8));
    open();
    ASSERT_TRUE(write(0, 'a'));
    EXPECT_FALSE(disk_->resize(size + kCluster));
    EXPECT_NE(0U, number(kFeaturesField) & 2);
    EXPECT_FALSE(write(0, 'b'));
    close();
}
// A pointer's removal that a killed process has left in the page cache must be durable before the
// count goes down (R4).
TEST_F(FaultTest, ALeakIsMendedWhenNothingCanPointToItAnyMore) {
    build("v3");
    open();
    ASSERT_TRUE(disk_->run(Verb::kDiscard, 0, 64U << 10U));
    disk_.reset();  // killed
    const Status repaired = Subject::repair_leaks(entry(), host_, image_->config());
    ASSERT_TRUE(repaired) << repaired.error().what;
    expect_clean();
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        Replayer replayer(log_, seed);
        while (replayer.advance()) {
            for (const Survival survival : kSurvivals) {
                replayer.apply(survival);
                const CheckReport check = check_image(replayer.file(0));
                ASSERT_TRUE(check.sound()) << "at " << replayer.time() << ", " << name_of(survival)
                                           << ", seed " << seed << ": " << check.text();
                replayer.restore();
            }
        }
    }
}

}  // namespace
}  // namespace lunkit::qcow_rig
