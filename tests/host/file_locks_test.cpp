// SPDX-License-Identifier: Apache-2.0
#include "host/file_locks.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include <gmock/gmock.h>

#include "host/current_device.hpp"
#include "host/file_open.hpp"
#include "lunkit/handler.h"
#include "support/engine_rig.hpp"

namespace lunkit::host {

using ::testing::HasSubstr;

class FileLocks : public ::testing::Test {
  protected:
    FileLocks() { test::write_file(disk_, std::string(1 << 20, '\0')); }

    Result<OpenedFile> open(std::uint32_t flags = 0) {
        return open_file({disk_, "", flags, 0}, FilePolicy());
    }
    /// What another process does: a description that our table knows nothing of.
    UniqueFd lock_like_another(off_t byte, short type = F_RDLCK) {
        UniqueFd fd(::open(disk_.c_str(), O_RDWR | O_CLOEXEC));
        struct flock range{};
        range.l_type = type;
        range.l_whence = SEEK_SET;
        range.l_start = byte;
        range.l_len = 1;
        EXPECT_EQ(0, ::fcntl(fd.get(), F_OFD_SETLK, &range));
        return fd;
    }
    /// Whether `qemu-img` can open the file as it opens any image.
    [[nodiscard]] bool qemu_can(const std::string& command) const {
        // NOLINTNEXTLINE(concurrency-mt-unsafe,cert-env33-c): a test of one thread runs a tool
        const int status = std::system((command + " " + disk_ + " >/dev/null 2>&1").c_str());
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    test::BuildFolder folder_;
    const std::string disk_ = folder_ / "disk";
};

TEST_F(FileLocks, TheSameDaemonNamesTheDeviceThatServesIt) {
    const DeviceLabel label{"user_0/disk1"};
    const CurrentDevice scope(label, false);
    const auto first = open();
    ASSERT_TRUE(first) << first.error().what;
    const auto second = open();
    ASSERT_FALSE(second);
    EXPECT_EQ(EBUSY, second.error().code);
    EXPECT_EQ(disk_ + " is already served as user_0/disk1", second.error().what);
}

TEST_F(FileLocks, AnotherNameOfTheFileIsTheSameFile) {
    ASSERT_EQ(0, ::link(disk_.c_str(), (folder_ / "other").c_str()));
    const auto first = open();
    ASSERT_TRUE(first);
    EXPECT_EQ(EBUSY, open_file({folder_ / "other", "", 0, 0}, FilePolicy()).error().code);
}

TEST_F(FileLocks, AreGoneWithTheFile) {
    EXPECT_TRUE(open());
    EXPECT_TRUE(open());
}

TEST_F(FileLocks, ReadersShare) {
    const auto first = open(LUNKIT_FILE_READ_ONLY);
    const auto second = open(LUNKIT_FILE_READ_ONLY);
    EXPECT_TRUE(first);
    EXPECT_TRUE(second) << second.error().what;
    EXPECT_EQ(EBUSY, open().error().code);
}

TEST_F(FileLocks, SharedWritersShare) {
    const auto first = open(LUNKIT_FILE_SHARE_WRITE);
    EXPECT_TRUE(open(LUNKIT_FILE_SHARE_WRITE));
    EXPECT_EQ(EBUSY, open().error().code);
}

TEST_F(FileLocks, WithoutLocksNobodyIsAsked) {
    const auto first = open();
    EXPECT_TRUE(open(LUNKIT_FILE_NO_LOCK));
}

TEST_F(FileLocks, AWriterElsewhereIsRespected) {
    const UniqueFd other = lock_like_another(101);  // "I write"
    const auto file = open();
    ASSERT_FALSE(file);
    EXPECT_EQ(EBUSY, file.error().code);
    EXPECT_EQ(disk_ + " is in use by another process (its 'write' lock is held)",
              file.error().what);
}

TEST_F(FileLocks, WhoeverForbidsWritingElsewhereIsRespected) {
    const UniqueFd other = lock_like_another(201);  // "nobody else may write"
    EXPECT_EQ(EBUSY, open().error().code);
    EXPECT_TRUE(open(LUNKIT_FILE_READ_ONLY));
}

TEST_F(FileLocks, ARefusalLeavesNoLock) {
    {
        const UniqueFd other = lock_like_another(101);
        EXPECT_FALSE(open());
        lock_like_another(201, F_WRLCK);  // nobody holds the byte that open() had taken
    }
    EXPECT_TRUE(open());
}

// A request of io_uring lets go of its file after its completion was seen.
TEST_F(FileLocks, WhatGoesInAMomentIsWaitedFor) {
    UniqueFd other = lock_like_another(101);
    std::thread going([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        other.reset();
    });
    const auto file = open();
    going.join();
    EXPECT_TRUE(file) << file.error().what;
}

// As a check of a configuration does: it must not make the LUN fail that is created beside it.
TEST_F(FileLocks, WhatIsOpenForNoDeviceIsWaitedFor) {
    auto checked = open();
    ASSERT_TRUE(checked);
    std::thread checking([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        checked = failure(EIO);  // closed
    });
    const DeviceLabel label{"user_0/disk1"};
    const CurrentDevice scope(label, false);
    const auto file = open();
    checking.join();
    EXPECT_TRUE(file) << file.error().what;
}

TEST_F(FileLocks, TakeOverWaitsForThePredecessor) {
    UniqueFd other = lock_like_another(101);
    std::thread dying([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(600));
        other.reset();
    });
    const DeviceLabel label{"disk"};
    const CurrentDevice scope(label, true);
    const auto file = open();
    dying.join();
    EXPECT_TRUE(file) << file.error().what;
}

TEST_F(FileLocks, QemuKeepsOffWhatWeServe) {
    if (!qemu_can("qemu-io -f raw -c 'write 0 512'")) {
        GTEST_SKIP() << "no QEMU tools";
    }
    const auto file = open();
    ASSERT_TRUE(file);
    EXPECT_FALSE(qemu_can("qemu-io -f raw -c 'write 0 512'"));
    EXPECT_FALSE(qemu_can("qemu-img resize -q -f raw --shrink"));
    EXPECT_TRUE(qemu_can("qemu-img info -U"));
}

TEST_F(FileLocks, QemuMayReadWhatWeOnlyRead) {
    if (!qemu_can("qemu-io -f raw -c 'write 0 512'")) {
        GTEST_SKIP() << "no QEMU tools";
    }
    const auto file = open(LUNKIT_FILE_READ_ONLY);
    ASSERT_TRUE(file);
    EXPECT_TRUE(qemu_can("qemu-io -r -f raw -c 'read 0 512'"));
    EXPECT_FALSE(qemu_can("qemu-io -f raw -c 'write 0 512'"));
}

}  // namespace lunkit::host
