// SPDX-License-Identifier: Apache-2.0
// systemd's side is a socket of the test's, and descriptors as systemd passes them.
#include "control/systemd_store.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "support/child_process.hpp"

namespace lunkit::control {
namespace {

bool is_same_file(int one, int other) {
    struct stat a{};
    struct stat b{};
    return ::fstat(one, &a) == 0 && ::fstat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

class SystemdStoreTest : public testing::Test {
  protected:
    struct Message {
        std::string text;
        UniqueFd fd;
    };

    void SetUp() override {
        const std::string path = folder_ / "notify";
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        ASSERT_EQ(
            0, ::bind(systemd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
        ::setenv("NOTIFY_SOCKET", path.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): one thread
    }
    void TearDown() override {
        ::unsetenv("NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe): one thread
    }
    UniqueFd make_file(const std::string& name) {
        return UniqueFd(::open((folder_ / name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    }
    Message receive() {
        std::array<char, 512> text{};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
        iovec piece{text.data(), text.size()};
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const ssize_t length = ::recvmsg(systemd_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        Message received;
        received.text.assign(text.data(), length < 0 ? 0 : static_cast<std::size_t>(length));
        for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
             part = CMSG_NXTHDR(&message, part)) {
            if (part->cmsg_type == SCM_RIGHTS) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(part), sizeof fd);
                received.fd.reset(fd);
            }
        }
        return received;
    }

    test::TemporaryFolder folder_;
    UniqueFd systemd_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

TEST_F(SystemdStoreTest, WhatIsKeptReachesSystemdWithItsName) {
    SystemdStore store;
    UniqueFd file = make_file("a");
    EXPECT_TRUE(store.keep("dm-user/a", file));
    file.reset();
    const Message message = receive();
    EXPECT_EQ(message.text, "FDSTORE=1\nFDNAME=dm-user/a");
    EXPECT_TRUE(is_same_file(message.fd.get(), make_file("a").get()));
}

TEST_F(SystemdStoreTest, WhatIsDroppedIsNamed) {
    SystemdStore store;
    store.drop("dm-user/a");
    EXPECT_EQ(receive().text, "FDSTOREREMOVE=1\nFDNAME=dm-user/a");
}

TEST_F(SystemdStoreTest, NameThatSystemdWouldReplaceIsRefused) {
    SystemdStore store;
    EXPECT_EQ(store.keep(std::string(256, 'a'), make_file("a")).error().code, ENAMETOOLONG);
    EXPECT_EQ(receive().text, "");
}

// systemd closes what finds its store full, and answers nothing.
TEST_F(SystemdStoreTest, FullStoreIsAnErrorWhereSystemdTellsItsSize) {
    ::setenv("FDSTORE", "2", 1);  // NOLINT(concurrency-mt-unsafe): one thread
    SystemdStore store;
    ::unsetenv("FDSTORE");  // NOLINT(concurrency-mt-unsafe): one thread
    EXPECT_TRUE(store.keep("a", make_file("a")));
    EXPECT_TRUE(store.keep("b", make_file("b")));
    EXPECT_EQ(store.keep("c", make_file("c")).error().code, ENOSPC);
    store.drop("a");
    EXPECT_TRUE(store.keep("c", make_file("c")));
}

TEST_F(SystemdStoreTest, NothingIsKeptAndNothingInheritedWithoutSystemd) {
    ::unsetenv("NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe): one thread
    SystemdStore store;
    EXPECT_TRUE(store.keep("a", make_file("a")));
    store.drop("a");
    EXPECT_TRUE(store.take_inherited().empty());
}

TEST_F(SystemdStoreTest, ProcessThatIsStartedGetsWhatWasKept) {
    const UniqueFd first = make_file("a");
    const UniqueFd second = make_file("b");
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        constexpr int kFirst = 3;
        const int high = ::fcntl(second.get(), F_DUPFD, 100);
        (void)::dup2(::fcntl(first.get(), F_DUPFD, 100), kFirst);
        (void)::dup2(high, kFirst + 1);
        // NOLINTBEGIN(concurrency-mt-unsafe): one thread
        ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
        ::setenv("LISTEN_FDS", "2", 1);
        ::setenv("LISTEN_FDNAMES", "dm-user/a:dm-user/b", 1);
        SystemdStore store;
        const bool is_left = ::getenv("LISTEN_FDS") != nullptr;
        // NOLINTEND(concurrency-mt-unsafe)
        const auto kept = store.take_inherited();
        const bool is_right = kept.size() == 2 && kept[0].name == "dm-user/a" &&
                              kept[1].name == "dm-user/b" &&
                              is_same_file(kept[0].fd.get(), make_file("a").get()) &&
                              is_same_file(kept[1].fd.get(), make_file("b").get()) &&
                              (::fcntl(kept[0].fd.get(), F_GETFD) & FD_CLOEXEC) != 0;
        ::_exit(is_right && !is_left && store.take_inherited().empty() ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(child, ::waitpid(child, &status, 0));
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace lunkit::control
