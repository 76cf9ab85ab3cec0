// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>

#include <gmock/gmock.h>

#include "handler_rig.hpp"

namespace lunkit::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kZone = 64 << 10U;
constexpr std::uint64_t kZones = 8;
constexpr std::uint64_t kBlock = 512;

// Two conventional zones, then six sequential ones, of which two can be open.
class ZbcHandler : public HandlerRig {
  protected:
    static constexpr std::uint64_t kSize = kZones * kZone;
    static constexpr std::uint64_t kData = 1 << 20;  // where it begins in the file

    ZbcHandler() { serves_zones_ = true; }

    void make() { open(new_, kSize); }
    /// As a later start of the daemon opens it.
    void reopen(bool take_over = false) {
        device_.reset();
        const Status status = try_open(config_, kSize, false, take_over);
        ASSERT_TRUE(status) << status.error().what;
    }
    /// As the successor of a daemon that was killed.
    void kill_and_take_over() {
        kill();
        reopen(true);
    }
    /// The file stays as it is at this moment.
    void kill() {
        std::filesystem::copy_file(disk_, disk_ + ".then");
        device_.reset();
        std::filesystem::rename(disk_ + ".then", disk_);
    }
    /// As after a loss of power: another boot, and nothing was tidied up.
    void lose_power() {
        kill();
        overwrite(4096, std::string(4096, '\0'));
        reopen();
    }
    void overwrite(std::uint64_t offset, const std::string& bytes) {
        const int fd = ::open(disk_.c_str(), O_RDWR | O_CLOEXEC);
        ASSERT_EQ(static_cast<ssize_t>(bytes.size()),
                  ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)));
        ::close(fd);
    }
    static std::uint64_t zone(std::uint64_t index, std::uint64_t offset = 0) {
        return index * kZone + offset;
    }
    Status manage(ZoneAction action, std::uint64_t first, std::uint64_t count = 1) {
        const IoRequest io(zone(first), count * kZone);
        return run(device_->manage_zones(queue(), action, io));
    }
    Status manage_all(ZoneAction action) {
        const IoRequest io(0, kSize, LUNKIT_IO_ALL_ZONES);
        return run(device_->manage_zones(queue(), action, io));
    }
    std::vector<Zone> zones() {
        std::vector<Zone> found(kZones);
        const IoRequest io(0, device_->info().size);
        const auto count = run(device_->report_zones(queue(), io, std::span<Zone>(found)));
        EXPECT_TRUE(count && *count == kZones);
        return found;
    }
    /// Letters of the conditions: -, empty, implicitly opened, Explicitly, closed, full.
    std::string conditions() {
        const std::map<std::uint32_t, char> letters{{LUNKIT_ZONE_NOT_WRITE_POINTER, '-'},
                                                    {LUNKIT_ZONE_EMPTY, 'e'},
                                                    {LUNKIT_ZONE_IMPLICITLY_OPENED, 'i'},
                                                    {LUNKIT_ZONE_EXPLICITLY_OPENED, 'E'},
                                                    {LUNKIT_ZONE_CLOSED, 'c'},
                                                    {LUNKIT_ZONE_FULL, 'f'}};
        std::string text;
        for (const Zone& one : zones()) {
            text += letters.at(one.condition);
        }
        return text;
    }
    std::uint64_t written(std::uint64_t index) {
        const Zone one = zones()[index];
        return one.write_pointer - one.start;
    }
    static std::string rule(const Status& status) {
        if (status) {
            return "good";
        }
        if (status.error().error_class != ErrorClass::kZone) {
            return "error " + std::to_string(status.error().code);
        }
        const std::map<int, std::string> names{{EINVAL, "unaligned"},
                                               {EFBIG, "boundary"},
                                               {EXDEV, "types"},
                                               {ETOOMANYREFS, "resources"},
                                               {EPERM, "zone"}};
        return names.at(status.error().code);
    }
    /// A write with its progress, as a front end has it that survives the daemon.
    Status write_once(std::uint64_t offset, std::string bytes, std::uint64_t& progress,
                      std::uint32_t flags = 0) {
        const SingleData data(bytes.data(), bytes.size());
        IoRequest io(offset, data, flags);
        io.progress = &progress;
        return run(device_->write(queue(), io));
    }

    const std::string disk_ = folder_ / "zoned";
    const std::string config_ = "zbc/" + disk_;
    const std::string new_ = config_ + ";zone_size=64K;conventional=2;max_open=2";
};
LUNKIT_ON_EACH_ENGINE(ZbcHandler);

TEST_P(ZbcHandler, MakesAMissingFile) {
    make();
    const DeviceInfo info = device_->info();
    EXPECT_EQ(info.type, DeviceType::kZoned);
    EXPECT_EQ(info.size, kSize);
    EXPECT_EQ(info.zone_size, kZone);
    EXPECT_EQ(info.max_open_zones, 2U);
    EXPECT_FALSE(info.can_discard);
    EXPECT_FALSE(info.parallel);
    EXPECT_EQ(std::filesystem::file_size(disk_), kData + kSize);
    EXPECT_EQ(conditions(), "--eeeeee");
}

TEST_P(ZbcHandler, OpensAFileThatIsThereWithoutBeingToldItsZones) {
    make();
    device_.reset();
    ASSERT_TRUE(try_open(config_, 0));
    EXPECT_EQ(device_->info().size, kSize);
    EXPECT_EQ(conditions(), "--eeeeee");
    device_.reset();
    EXPECT_TRUE(try_open(new_, kSize));
}

TEST_P(ZbcHandler, RefusesOtherZonesThanAFileHas) {
    make();
    device_.reset();
    EXPECT_THAT(why(try_open(config_ + ";zone_size=128K", kSize)),
                HasSubstr("was made with zone_size=65536, not 131072"));
    EXPECT_THAT(why(try_open(config_ + ";conventional=0", kSize)), HasSubstr("conventional=2"));
    EXPECT_THAT(why(try_open(config_ + ";max_open=3", kSize)), HasSubstr("max_open=2"));
    EXPECT_THAT(why(try_open(config_, kSize + kZone)), HasSubstr("they have to be equal"));
    EXPECT_THAT(why(try_open(config_, kSize, false, false, 4096)),
                HasSubstr("was made with blocks of 512 bytes"));
    EXPECT_THAT(check(config_ + ";conventional=1"), HasSubstr("conventional=2"));
    EXPECT_EQ(check(new_), "");
}

TEST_P(ZbcHandler, NeverFormatsAFileThatIsThere) {
    write_file(disk_, pattern(kSize));
    EXPECT_THAT(why(try_open(new_, kSize)), HasSubstr("holds no zones"));
    EXPECT_THAT(check(new_), HasSubstr("holds no zones"));
    EXPECT_TRUE(read_file(disk_) == pattern(kSize));
    write_file(disk_, "");
    EXPECT_THAT(why(try_open(new_, kSize)), HasSubstr("ends before its zones"));
    write_file(disk_, std::string(8192, '\0'));
    EXPECT_THAT(why(try_open(new_, kSize)), HasSubstr("holds no zones"));
}

// The daemon died, or could not go on, between making the file and writing its header.
TEST_P(ZbcHandler, MakesAFileThatWasMadeAndNeverWritten) {
    write_file(disk_, "");
    std::filesystem::resize_file(disk_, kData + kSize);
    EXPECT_EQ(check(new_), "");
    EXPECT_THAT(why(try_open(new_ + ";create=off", kSize)), HasSubstr("it may be deleted"));
    EXPECT_THAT(why(try_open(new_ + ";readonly=on", kSize)), HasSubstr("holds no zones"));
    EXPECT_THAT(why(try_open(new_, kSize, false, true)), HasSubstr("holds no zones"));
    EXPECT_THAT(why(try_open(new_, kSize + kZone)), HasSubstr("holds no zones"));
    make();
    EXPECT_EQ(conditions(), "--eeeeee");
    device_.reset();
    write_file(disk_, std::string(kData + kSize, '\0'));  // zeros of somebody
    EXPECT_THAT(why(try_open(new_, kSize)), HasSubstr("holds no zones"));
}

TEST_P(ZbcHandler, NeverMakesAFileForASuccessorOrWhenToldNotTo) {
    EXPECT_EQ(try_open(new_, kSize, false, true).error().code, ENOENT);
    EXPECT_EQ(try_open(new_ + ";create=off", kSize).error().code, ENOENT);
    EXPECT_EQ(try_open(new_ + ";readonly=on", kSize).error().code, ENOENT);
    EXPECT_EQ(try_open(new_, 0).error().code, ENOENT);
    EXPECT_FALSE(std::filesystem::exists(disk_));
}

TEST_P(ZbcHandler, RefusesZonesThatCannotBe) {
    EXPECT_THAT(check(config_ + ";zone_size=100K"), HasSubstr("a power of two from 64K to 1T"));
    EXPECT_THAT(check(config_ + ";zone_size=32K"), HasSubstr("a power of two"));
    EXPECT_THAT(check(config_ + ";zone_size=0"), HasSubstr("a power of two"));
    EXPECT_THAT(check(config_ + ";max_open=-1"), HasSubstr("expected a number up to"));
    EXPECT_THAT(check(config_ + ";conventional=1x"), HasSubstr("expected a number up to"));
    EXPECT_THAT(check("zbc/disk"), HasSubstr("is not an absolute path"));
    EXPECT_THAT(check(config_ + ";zones=3"), HasSubstr("unknown key 'zones'"));
    EXPECT_THAT(check("zbc/" + (folder_ / "missing/disk")), HasSubstr("cannot be created"));
    EXPECT_EQ(check(new_), "");
    EXPECT_THAT(why(try_open(config_ + ";zone_size=64K;conventional=8", kSize)),
                HasSubstr("leave no sequential one"));
    EXPECT_THAT(why(try_open(config_ + ";zone_size=64K", std::uint64_t{1} << 40U)),
                HasSubstr("zones are too many"));
    EXPECT_FALSE(std::filesystem::exists(disk_));
}

TEST_P(ZbcHandler, IsForFrontEndsThatServeZones) {
    serves_zones_ = false;
    EXPECT_THAT(why(try_open(new_, kSize)), HasSubstr("as a SCSI LUN only"));
}

TEST_P(ZbcHandler, IsFoundInAFileThatHasGrownAndRefusedInOneThatWasCut) {
    make();
    EXPECT_TRUE(write(zone(7), pattern(4096)));
    device_.reset();
    std::filesystem::resize_file(disk_, 2 * (kData + kSize));
    reopen();
    EXPECT_TRUE(read(zone(7), 4096) == pattern(4096));
    device_.reset();
    std::filesystem::resize_file(disk_, kData + kSize - 1);
    EXPECT_THAT(why(try_open(config_, kSize)), HasSubstr("has been cut to 1572863 bytes"));
    std::filesystem::resize_file(disk_, 6000);
    EXPECT_THAT(why(try_open(config_, kSize)), HasSubstr("has been cut"));
}

// Offsets as zone_format.hpp and zone_format.cpp have them.
TEST_P(ZbcHandler, RefusesADamagedHeader) {
    make();
    device_.reset();
    const std::string good = read_file(disk_).substr(0, 4096);
    for (const std::size_t at : {12U, 16U, 24U, 32U, 36U, 100U, 4095U}) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 0x10);
        overwrite(0, bad);
        EXPECT_THAT(why(try_open(config_, kSize)), HasSubstr("header is damaged")) << at;
    }
    std::string newer = good;
    newer[8] = 2;
    overwrite(0, newer);
    EXPECT_THAT(why(try_open(config_, kSize)), HasSubstr("is of version 2"));
    overwrite(0, good);
    EXPECT_TRUE(try_open(config_, kSize));
}

TEST_P(ZbcHandler, RefusesADamagedRecordAndSaysOfWhichZone) {
    make();
    device_.reset();
    const std::string table = read_file(disk_).substr(8192, 4096);
    std::string bad = table;
    bad[3 * 32 + 2] = 1;
    overwrite(8192, bad);
    EXPECT_THAT(why(try_open(config_, kSize)), HasSubstr("the record of zone 3 is damaged"));
    overwrite(8192, table);
    EXPECT_TRUE(try_open(config_, kSize));
}

TEST_P(ZbcHandler, WritesSequentialZonesInOrderOnly) {
    make();
    EXPECT_EQ(rule(write(zone(2, kBlock), pattern(kBlock))), "unaligned");
    EXPECT_EQ(rule(write(zone(2), pattern(4096))), "good");
    EXPECT_EQ(rule(write(zone(2), pattern(4096))), "unaligned");
    EXPECT_EQ(rule(write(zone(2, 4096), pattern(kBlock, 2))), "good");
    EXPECT_EQ(rule(write_zeroes(zone(2, 4608), kBlock)), "good");
    EXPECT_EQ(rule(write_zeroes(zone(2, 4608), kBlock)), "unaligned");
    EXPECT_EQ(written(2), 5120U);
    EXPECT_EQ(conditions(), "--ieeeee");
    EXPECT_TRUE(read(zone(2), 4096) == pattern(4096));
    EXPECT_TRUE(read(zone(2, 4096), kBlock) == pattern(kBlock, 2));
}

TEST_P(ZbcHandler, KeepsWritesWithinTheirZone) {
    make();
    EXPECT_EQ(rule(write(zone(2), pattern(kZone))), "good");
    EXPECT_EQ(conditions(), "--feeeee");
    EXPECT_EQ(rule(write(zone(2), pattern(kBlock))), "zone");  // full
    EXPECT_EQ(rule(write(zone(3), pattern(kZone - kBlock))), "good");
    EXPECT_EQ(rule(write(zone(3, kZone - kBlock), pattern(2 * kBlock))), "boundary");
    EXPECT_EQ(rule(write(zone(1, kZone - kBlock), pattern(2 * kBlock))), "boundary");
    EXPECT_EQ(rule(write_zeroes(zone(1), 2 * kZone)), "boundary");
    EXPECT_EQ(conditions(), "--fieeee");
}

TEST_P(ZbcHandler, WritesConventionalZonesAnywhere) {
    make();
    EXPECT_EQ(rule(write(zone(0, kZone - 4096), pattern(8192))), "good");
    EXPECT_EQ(rule(write(zone(0, 512), pattern(512, 2), LUNKIT_IO_FUA)), "good");
    EXPECT_EQ(rule(write_zeroes(zone(1), 4096, LUNKIT_IO_FUA)), "good");
    EXPECT_TRUE(read(zone(0, kZone - 4096), 4096) == pattern(8192).substr(0, 4096));
    EXPECT_TRUE(read(zone(0, 512), 512) == pattern(512, 2));
    EXPECT_EQ(read(zone(1), 4096), std::string(4096, '\0'));
    EXPECT_EQ(conditions(), "--eeeeee");
}

TEST_P(ZbcHandler, ReadsZerosBehindAWritePointer) {
    make();
    EXPECT_TRUE(write(zone(3), pattern(kZone)));
    EXPECT_TRUE(write(zone(4), pattern(4096, 4)));
    const std::string all = read(zone(2), 4 * kZone);
    EXPECT_EQ(all.substr(0, kZone), std::string(kZone, '\0'));
    EXPECT_TRUE(all.substr(kZone, kZone) == pattern(kZone));
    EXPECT_TRUE(all.substr(2 * kZone, 4096) == pattern(4096, 4));
    EXPECT_EQ(all.substr(2 * kZone + 4096), std::string(2 * kZone - 4096, '\0'));
    // Whatever the file holds there.
    overwrite(kData + zone(4, 4096), pattern(4096, 9));
    EXPECT_EQ(read(zone(4, 4096), 4096), std::string(4096, '\0'));
    EXPECT_TRUE(manage(ZoneAction::kFinish, 4));
    EXPECT_EQ(read(zone(4, 4096), 4096), std::string(4096, '\0'));
}

TEST_P(ZbcHandler, DoesNotReadOverZonesOfTwoTypes) {
    make();
    std::string bytes(2 * kBlock, '?');
    const SingleData data(bytes.data(), bytes.size());
    const IoRequest io(zone(1, kZone - kBlock), data);
    EXPECT_EQ(rule(run(device_->read(queue(), io))), "types");
    EXPECT_EQ(bytes, std::string(2 * kBlock, '?'));
}

TEST_P(ZbcHandler, WritesThatComeTogetherRunInTheOrderOfTheirArrival) {
    make();
    constexpr std::size_t kCount = 16;
    std::string bytes = pattern(kCount * 4096);
    std::vector<std::unique_ptr<SingleData>> data;
    std::vector<std::unique_ptr<IoRequest>> requests;
    std::vector<Task<Status>> tasks;
    for (std::size_t i = 0; i < kCount; ++i) {
        data.push_back(std::make_unique<SingleData>(bytes.data() + i * 4096, 4096));
        requests.push_back(std::make_unique<IoRequest>(zone(5, i * 4096), *data.back(),
                                                       i % 5 == 4 ? LUNKIT_IO_FUA : 0U));
        tasks.push_back(device_->write(queue(), *requests.back()));
    }
    for (const Status& status : run_together(queue(), std::move(tasks))) {
        EXPECT_EQ(rule(status), "good");
    }
    EXPECT_EQ(conditions(), "--eeefee");
    EXPECT_TRUE(read(zone(5), bytes.size()) == bytes);
}

TEST_P(ZbcHandler, ClosesTheZoneThatWasOpenedFirstToMakeRoom) {
    make();
    EXPECT_TRUE(write(zone(2), pattern(kBlock)));
    EXPECT_TRUE(write(zone(3), pattern(kBlock)));
    EXPECT_EQ(conditions(), "--iieeee");
    EXPECT_TRUE(write(zone(4), pattern(kBlock)));
    EXPECT_EQ(conditions(), "--ciieee");
    EXPECT_TRUE(write(zone(2, kBlock), pattern(kBlock)));
    EXPECT_EQ(conditions(), "--icieee");
    EXPECT_TRUE(manage(ZoneAction::kOpen, 5));  // explicitly: makes room as well
    EXPECT_EQ(conditions(), "--iccEee");
}

TEST_P(ZbcHandler, AZoneAtItsStartBecomesEmptyWhenItIsClosed) {
    make();
    EXPECT_TRUE(manage(ZoneAction::kOpen, 2));
    EXPECT_EQ(conditions(), "--Eeeeee");
    EXPECT_TRUE(manage(ZoneAction::kClose, 2));
    EXPECT_EQ(conditions(), "--eeeeee");
    EXPECT_TRUE(manage(ZoneAction::kOpen, 2));
    EXPECT_TRUE(write(zone(2), pattern(kBlock)));
    EXPECT_TRUE(manage(ZoneAction::kClose, 2));
    EXPECT_EQ(conditions(), "--ceeeee");
}

TEST_P(ZbcHandler, ExplicitlyOpenedZonesAreNotClosedForOthers) {
    make();
    EXPECT_TRUE(manage(ZoneAction::kOpen, 2, 2));
    EXPECT_EQ(conditions(), "--EEeeee");
    EXPECT_EQ(rule(write(zone(4), pattern(kBlock))), "resources");
    EXPECT_EQ(rule(manage(ZoneAction::kOpen, 4)), "resources");
    EXPECT_EQ(rule(manage(ZoneAction::kOpen, 2)), "good");  // it is
    EXPECT_TRUE(write(zone(2), pattern(kZone)));            // full: not open any more
    EXPECT_TRUE(write(zone(4), pattern(kBlock)));
    EXPECT_EQ(conditions(), "--fEieee");
    EXPECT_EQ(rule(manage(ZoneAction::kOpen, 4, 2)), "resources");
    EXPECT_EQ(conditions(), "--fEieee");  // all of them or none
}

// More zones than can be open, all written at once: those that find no room wait for it.
TEST_P(ZbcHandler, DoesNotCloseAZoneThatIsBeingWritten) {
    make();
    std::string bytes = pattern(8192);
    std::vector<std::unique_ptr<SingleData>> data;
    std::vector<std::unique_ptr<IoRequest>> requests;
    std::vector<Task<Status>> tasks;
    for (std::uint64_t round = 0; round < 4; ++round) {
        for (std::uint64_t index = 2; index < kZones; ++index) {
            data.push_back(std::make_unique<SingleData>(bytes.data(), bytes.size()));
            requests.push_back(std::make_unique<IoRequest>(zone(index, round * 8192), *data.back(),
                                                           LUNKIT_IO_FUA));
            tasks.push_back(device_->write(queue(), *requests.back()));
        }
        const IoRequest all(0, kSize, LUNKIT_IO_ALL_ZONES);
        requests.push_back(std::make_unique<IoRequest>(all));
        tasks.push_back(device_->manage_zones(queue(), ZoneAction::kClose, *requests.back()));
    }
    for (const Status& status : run_together(queue(), std::move(tasks))) {
        EXPECT_EQ(rule(status), "good");
    }
    for (std::uint64_t index = 2; index < kZones; ++index) {
        EXPECT_EQ(written(index), 4 * 8192U);
        EXPECT_TRUE(read(zone(index, 3 * 8192), 8192) == bytes);
    }
    EXPECT_EQ(conditions(), "--cccccc");
}

TEST_P(ZbcHandler, ManagesAllZonesThatCanBe) {
    make();
    EXPECT_TRUE(write(zone(2), pattern(kZone)));
    EXPECT_TRUE(write(zone(3), pattern(kBlock)));
    EXPECT_TRUE(write(zone(4), pattern(kBlock)));
    EXPECT_TRUE(manage_all(ZoneAction::kClose));
    EXPECT_EQ(conditions(), "--fcceee");
    EXPECT_TRUE(manage_all(ZoneAction::kOpen));
    EXPECT_EQ(conditions(), "--fEEeee");
    EXPECT_TRUE(manage_all(ZoneAction::kFinish));
    EXPECT_EQ(conditions(), "--fffeee");
    EXPECT_TRUE(manage_all(ZoneAction::kReset));
    EXPECT_EQ(conditions(), "--eeeeee");
    EXPECT_EQ(read(zone(2), kZone), std::string(kZone, '\0'));
    for (std::uint64_t index = 2; index < 5; ++index) {
        EXPECT_TRUE(write(zone(index), pattern(kBlock)));
    }
    EXPECT_TRUE(manage_all(ZoneAction::kClose));
    EXPECT_EQ(rule(manage_all(ZoneAction::kOpen)), "resources");
    EXPECT_EQ(conditions(), "--ccceee");
}

TEST_P(ZbcHandler, ManagesSequentialZonesOnly) {
    make();
    for (const ZoneAction action :
         {ZoneAction::kOpen, ZoneAction::kClose, ZoneAction::kFinish, ZoneAction::kReset}) {
        EXPECT_EQ(rule(manage(action, 0)), "zone");
        EXPECT_EQ(rule(manage(action, 1, 2)), "zone");
    }
    EXPECT_EQ(conditions(), "--eeeeee");
}

TEST_P(ZbcHandler, AResetGivesTheSpaceBack) {
    make();
    EXPECT_TRUE(write(zone(2), pattern(kZone), LUNKIT_IO_FUA));
    struct stat before{};
    struct stat after{};
    ASSERT_EQ(0, ::stat(disk_.c_str(), &before));
    EXPECT_TRUE(manage(ZoneAction::kReset, 2));
    ASSERT_EQ(0, ::stat(disk_.c_str(), &after));
    EXPECT_EQ(read_file(disk_).substr(kData + zone(2), kZone), std::string(kZone, '\0'));
    EXPECT_LE(after.st_blocks, before.st_blocks);
}

// Every state that a command leaves is one that the next start can read: as it was for a successor,
// with no zone open after an ordinary start.
TEST_P(ZbcHandler, EveryStateIsFoundAgain) {
    make();
    struct Step {
        std::function<Status()> make;
        std::string conditions;
        std::string later;
    };
    const std::vector<Step> steps{
        {[&] { return write(zone(2), pattern(kBlock)); }, "--ieeeee", "--ceeeee"},
        {[&] { return manage(ZoneAction::kOpen, 3); }, "--cEeeee", "--ceeeee"},
        {[&] { return manage(ZoneAction::kOpen, 3); }, "--cEeeee", "--ceeeee"},
        {[&] { return write(zone(3), pattern(kBlock)); }, "--cieeee", "--cceeee"},
        {[&] { return manage(ZoneAction::kOpen, 3); }, "--cEeeee", "--cceeee"},
        {[&] { return manage(ZoneAction::kClose, 3); }, "--cceeee", "--cceeee"},
        {[&] { return manage(ZoneAction::kFinish, 3); }, "--cfeeee", "--cfeeee"},
        {[&] { return manage(ZoneAction::kFinish, 4); }, "--cffeee", "--cffeee"},
        {[&] { return write(zone(5), pattern(kZone)); }, "--cfffee", "--cfffee"},
        {[&] { return manage(ZoneAction::kReset, 3); }, "--ceffee", "--ceffee"},
        {[&] { return write_zeroes(zone(2, kBlock), kBlock); }, "--ieffee", "--ceffee"},
        {[&] { return manage_all(ZoneAction::kOpen); }, "--Eeffee", "--ceffee"},
        {[&] { return manage_all(ZoneAction::kFinish); }, "--feffee", "--feffee"},
        {[&] { return manage_all(ZoneAction::kReset); }, "--eeeeee", "--eeeeee"},
    };
    for (std::size_t i = 0; i < steps.size(); ++i) {
        ASSERT_EQ(rule(steps[i].make()), "good") << i;
        EXPECT_EQ(conditions(), steps[i].conditions) << i;
        kill_and_take_over();
        EXPECT_EQ(conditions(), steps[i].conditions) << i;
        reopen();
        EXPECT_EQ(conditions(), steps[i].later) << i;
        lose_power();  // the reopening has made it durable
        EXPECT_EQ(conditions(), steps[i].later) << i;
    }
}

TEST_P(ZbcHandler, ALossOfPowerTakesBackWhatWasNotFlushed) {
    make();
    EXPECT_TRUE(write(zone(2), pattern(4096)));
    EXPECT_TRUE(write(zone(3), pattern(4096), LUNKIT_IO_FUA));
    EXPECT_TRUE(write(zone(4), pattern(4096)));
    EXPECT_TRUE(write(zone(4, 4096), pattern(4096), LUNKIT_IO_FUA));  // with what was before it
    EXPECT_TRUE(flush());
    EXPECT_TRUE(write(zone(2, 4096), pattern(4096)));
    EXPECT_TRUE(write(zone(5), pattern(4096)));
    lose_power();
    EXPECT_EQ(written(2), 4096U);
    EXPECT_EQ(written(3), 4096U);
    EXPECT_EQ(written(4), 8192U);
    EXPECT_EQ(written(5), 0U);
    EXPECT_TRUE(read(zone(2), 4096) == pattern(4096));
    EXPECT_EQ(read(zone(2, 4096), 4096), std::string(4096, '\0'));
    EXPECT_EQ(read(zone(5), 4096), std::string(4096, '\0'));
}

TEST_P(ZbcHandler, FuaMakesAllOfItsZoneDurable) {
    make();
    EXPECT_TRUE(write(zone(4), pattern(4096)));
    EXPECT_TRUE(write(zone(4, 4096), pattern(4096), LUNKIT_IO_FUA));
    lose_power();
    EXPECT_EQ(written(4), 8192U);
    EXPECT_TRUE(read(zone(4), 8192) == pattern(4096) + pattern(4096));
}

TEST_P(ZbcHandler, ResetAndFinishAreDurable) {
    make();
    EXPECT_TRUE(write(zone(2), pattern(4096), LUNKIT_IO_FUA));
    EXPECT_TRUE(manage(ZoneAction::kReset, 2));
    EXPECT_TRUE(manage(ZoneAction::kFinish, 3));
    lose_power();
    EXPECT_EQ(conditions(), "--efeeee");
}

TEST_P(ZbcHandler, NothingThatEndedIsLostWithTheDaemon) {
    make();
    EXPECT_TRUE(write(zone(2), pattern(4096)));
    EXPECT_TRUE(write(zone(2, 4096), pattern(4096, 2)));
    kill_and_take_over();
    EXPECT_EQ(written(2), 8192U);
    EXPECT_TRUE(read(zone(2), 8192) == pattern(4096) + pattern(4096, 2));
    EXPECT_TRUE(write(zone(2, 8192), pattern(4096, 3)));
    EXPECT_TRUE(flush());  // what the predecessor wrote as well
    lose_power();
    EXPECT_EQ(written(2), 12288U);
}

// The daemon died when the write pointer had moved, before the write was told to have ended.
TEST_P(ZbcHandler, ARepeatedWriteIsNotRefusedByItsOwnWritePointer) {
    make();
    std::uint64_t progress = 0;
    EXPECT_TRUE(write_once(zone(2), pattern(4096), progress));
    const std::uint64_t done = progress;
    EXPECT_NE(done, 0U);
    kill_and_take_over();
    for (const std::uint64_t left : {done, std::uint64_t{1}}) {  // done; admitted only
        progress = left;
        EXPECT_EQ(rule(write_once(zone(2), pattern(4096), progress, LUNKIT_IO_REPLAY)), "good");
        EXPECT_EQ(progress, done);
        EXPECT_EQ(written(2), 4096U);
    }
    EXPECT_TRUE(read(zone(2), 4096) == pattern(4096));
    progress = 0;  // one that was never admitted is judged as ever
    EXPECT_EQ(rule(write_once(zone(2), pattern(4096), progress, LUNKIT_IO_REPLAY)), "unaligned");
    EXPECT_EQ(progress, 0U);
    EXPECT_EQ(rule(write_once(zone(2, 4096), pattern(4096), progress, LUNKIT_IO_REPLAY)), "good");
}

TEST_P(ZbcHandler, ARepeatedWriteThatFilledItsZoneIsGood) {
    make();
    std::uint64_t progress = 0;
    EXPECT_TRUE(write_once(zone(2), pattern(kZone), progress));
    kill_and_take_over();
    progress = 1;
    EXPECT_EQ(rule(write_once(zone(2), pattern(kZone), progress, LUNKIT_IO_REPLAY | LUNKIT_IO_FUA)),
              "good");
    EXPECT_EQ(conditions(), "--feeeee");
}

TEST_P(ZbcHandler, ARepeatedResetLeavesWhatWasWrittenBehindIt) {
    make();
    EXPECT_TRUE(write(zone(2), pattern(4096)));
    std::uint64_t progress = 0;
    IoRequest reset(zone(2), kZone);
    reset.progress = &progress;
    EXPECT_TRUE(run(device_->manage_zones(queue(), ZoneAction::kReset, reset)));
    EXPECT_TRUE(write(zone(2), pattern(4096, 2)));
    kill_and_take_over();
    reset.flags = LUNKIT_IO_REPLAY;
    EXPECT_TRUE(run(device_->manage_zones(queue(), ZoneAction::kReset, reset)));
    EXPECT_EQ(written(2), 4096U);
    EXPECT_TRUE(read(zone(2), 4096) == pattern(4096, 2));
}

TEST_P(ZbcHandler, ALastZoneMayBeSmaller) {
    open(new_, kSize - kZone + 4096);
    EXPECT_EQ(zones()[7].length, 4096U);
    const std::uint64_t last = zone(7);
    EXPECT_EQ(rule(write(last, pattern(4096))), "good");
    EXPECT_EQ(conditions(), "--eeeeef");
    const IoRequest io(last, 4096);
    EXPECT_TRUE(run(device_->manage_zones(queue(), ZoneAction::kReset, io)));
    EXPECT_EQ(conditions(), "--eeeeee");
}

TEST_P(ZbcHandler, ReadOnlyItLeavesTheFileAsItIs) {
    make();
    EXPECT_TRUE(write(zone(2), pattern(4096)));
    device_.reset();
    const std::string before = read_file(disk_);
    ASSERT_TRUE(try_open(config_ + ";readonly=on", kSize));
    EXPECT_TRUE(device_->info().read_only);
    EXPECT_EQ(rule(write(zone(2, 4096), pattern(4096))), "error 30");
    EXPECT_EQ(rule(manage(ZoneAction::kReset, 2)), "error 30");
    EXPECT_TRUE(read(zone(2), 4096) == pattern(4096));
    device_.reset();
    EXPECT_TRUE(read_file(disk_) == before);
}

TEST_P(ZbcHandler, WorksWithoutThePageCache) {
    const Status status = try_open(new_ + ";direct=on", kSize);
    if (!status && status.error().code == EINVAL) {
        GTEST_SKIP() << status.error().what;
    }
    ASSERT_TRUE(status) << status.error().what;
    EXPECT_TRUE(write(zone(2), pattern(4096)));
    EXPECT_TRUE(write(zone(2, 4096), pattern(kBlock, 2), LUNKIT_IO_FUA));
    EXPECT_TRUE(manage(ZoneAction::kOpen, 3));
    device_.reset();
    ASSERT_TRUE(try_open(config_ + ";direct=on", kSize));
    EXPECT_TRUE(read(zone(2), 4608) == pattern(4096) + pattern(kBlock, 2));
    EXPECT_EQ(conditions(), "--ceeeee");
}

TEST_P(ZbcHandler, CannotBeResized) {
    make();
    EXPECT_FALSE(device_->resize(2 * kSize));
    EXPECT_TRUE(device_->resize(kSize));
}

}  // namespace
}  // namespace lunkit::test
