// SPDX-License-Identifier: Apache-2.0
#include "dm_log/state_folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "dm_log/dirty_log.hpp"
#include "support/child_process.hpp"

namespace lunkit::dm_log {
namespace {

namespace fs = std::filesystem;

const LogIdentity kLog{.luid = 0xffff8880'12345678, .uuid = "a/b", .arguments = "8192 core 1024"};
constexpr const char* kName = "/ffff888012345678.log";
constexpr std::uint64_t kRegions = 8;

class StateFolderTest : public testing::Test {
  protected:
    [[nodiscard]] std::string folder() const { return run_dir_ / "dm_log"; }
    [[nodiscard]] std::string file() const { return folder() + kName; }
    /// A log as a daemon leaves it: its first word is 5.
    void leave_a_log() {
        LogMemory memory = *state_.make(kLog, kRegions);
        memory.words()[0] = 5;
        ASSERT_TRUE(state_.publish(memory, kLog));
    }
    void overwrite(std::streamoff offset, char byte) {
        std::fstream bytes(file(), std::ios::in | std::ios::out | std::ios::binary);
        bytes.seekp(offset);
        bytes.put(byte);
    }
    /// How many logs are found; what is not one is gone afterwards.
    std::size_t found() {
        const std::size_t count = state_.find_all()->size();
        EXPECT_EQ(std::distance(fs::directory_iterator(folder()), fs::directory_iterator()),
                  static_cast<std::ptrdiff_t>(count));
        return count;
    }

    test::TemporaryFolder run_dir_;
    StateFolder state_ = *StateFolder::open(run_dir_.path(), "boot-1");
};

TEST_F(StateFolderTest, LogIsFoundAsItWasLeft) {
    leave_a_log();
    const auto all = *state_.find_all();
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].identity.luid, kLog.luid);
    EXPECT_EQ(all[0].identity.uuid, kLog.uuid);
    EXPECT_EQ(all[0].identity.arguments, kLog.arguments);
    EXPECT_EQ(all[0].regions, kRegions);
    ASSERT_EQ(all[0].memory.words().size(), DirtyLog::words_for(kRegions));
    EXPECT_EQ(all[0].memory.words()[0], 5U);
    struct stat status{};
    ASSERT_EQ(::stat(file().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    ASSERT_EQ(::stat(folder().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0700U);
}

TEST_F(StateFolderTest, StoresAfterPublishingAreSeen) {
    LogMemory memory = *state_.make(kLog, kRegions);
    ASSERT_TRUE(state_.publish(memory, kLog));
    memory.words()[1] = 9;
    EXPECT_EQ((*state_.find_all())[0].memory.words()[1], 9U);
}

TEST_F(StateFolderTest, LogThatIsNotInUseLeavesNothing) {
    (void)*state_.make(kLog, kRegions);
    EXPECT_EQ(found(), 0U);
}

TEST_F(StateFolderTest, TheSameLuidAgainReplacesTheOldOne) {
    leave_a_log();
    LogMemory memory = *state_.make(kLog, kRegions);
    ASSERT_TRUE(state_.publish(memory, kLog));
    EXPECT_EQ((*state_.find_all())[0].memory.words()[0], 0U);
    state_.remove(kLog.luid);
    EXPECT_EQ(found(), 0U);
}

TEST_F(StateFolderTest, LogOfAnotherBootIsOfNoLogNow) {
    leave_a_log();
    const StateFolder later = *StateFolder::open(run_dir_.path(), "boot-2");
    EXPECT_TRUE(later.find_all()->empty());
    EXPECT_FALSE(fs::exists(file()));
}

TEST_F(StateFolderTest, FileThatContradictsItselfIsRemoved) {
    leave_a_log();
    fs::resize_file(file(), fs::file_size(file()) - 8);
    EXPECT_EQ(found(), 0U);
    leave_a_log();
    fs::resize_file(file(), 100);
    EXPECT_EQ(found(), 0U);
    leave_a_log();
    fs::resize_file(file(), 1U << 20U);
    EXPECT_EQ(found(), 0U);
    leave_a_log();
    overwrite(0, 'x');  // the magic
    EXPECT_EQ(found(), 0U);
    leave_a_log();
    overwrite(8, 'y');  // the luid
    EXPECT_EQ(found(), 0U);
    leave_a_log();
    overwrite(16, 9);  // the regions
    EXPECT_EQ(found(), 0U);
    leave_a_log();
    overwrite(24 + 64 + 129, 'x');  // the arguments
    EXPECT_EQ(found(), 0U);
    leave_a_log();
    EXPECT_EQ(found(), 1U);
}

TEST_F(StateFolderTest, LinksAreNotFollowed) {
    leave_a_log();
    const std::string elsewhere = run_dir_ / "elsewhere";
    fs::rename(file(), elsewhere);
    fs::create_symlink(elsewhere, file());
    EXPECT_EQ(found(), 0U);
    EXPECT_TRUE(fs::exists(elsewhere));
    fs::create_symlink(elsewhere, file());
    leave_a_log();  // takes the link's place
    EXPECT_FALSE(fs::is_symlink(file()));
}

TEST_F(StateFolderTest, OddEntriesDoNotStopIt) {
    leave_a_log();
    std::ofstream(folder() + "/note") << "x";
    ASSERT_EQ(::mkfifo((folder() + "/fifo.log").c_str(), 0600), 0);
    EXPECT_EQ(found(), 1U);
}

TEST_F(StateFolderTest, FolderBehindALinkIsRefused) {
    const test::TemporaryFolder other;
    fs::create_directory(other / "real");
    fs::create_symlink(other / "real", other / "dm_log");
    EXPECT_FALSE(StateFolder::open(other.path(), "boot-1"));
}

}  // namespace
}  // namespace lunkit::dm_log
