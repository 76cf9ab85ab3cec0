// SPDX-License-Identifier: Apache-2.0
#include <cerrno>

#include "handler_rig.hpp"

namespace lunkit::test {

class CppFace : public HandlerRig {};
LUNKIT_ON_EACH_ENGINE(CppFace);

TEST_P(CppFace, InlineRequestsCompleteInline) {
    open("cpp_face/now", 65536);
    EXPECT_TRUE(write(512, std::string(512, 'w')));
    EXPECT_EQ(std::string(512, 'w'), read(512, 512));
}

TEST_P(CppFace, RequestsThatSuspendCompleteLater) {
    open("cpp_face/later", 65536);
    EXPECT_TRUE(write(512, std::string(512, 'w')));
    EXPECT_EQ(std::string(512, 'w'), read(512, 512));
}

TEST_P(CppFace, ErrorsKeepTheirPlaceAndClass) {
    for (const char* config : {"cpp_face/now", "cpp_face/later"}) {
        device_.reset();
        open(config, 65536);
        const Status status = write(4096, std::string(1024, 'w'));
        ASSERT_FALSE(status);
        EXPECT_EQ(EIO, status.error().code);
        EXPECT_EQ(512U, status.error().offset);
        EXPECT_EQ(ErrorClass::kMedium, status.error().error_class);
    }
}

TEST_P(CppFace, EopnotsuppIsEmulated) {
    open("cpp_face/now", 65536);
    EXPECT_TRUE(write_zeroes(8192, 4096));
    EXPECT_EQ("x", read(8192 - 512, 512).substr(511));
    EXPECT_EQ(std::string(4096, '\0'), read(8192, 4096));
    EXPECT_EQ(EOPNOTSUPP, write_zeroes(8192, 4096, LUNKIT_IO_NO_FALLBACK).error().code);
}

TEST_P(CppFace, WhatIsNotOverriddenIsAbsent) {
    open("cpp_face/now", 65536);
    // It says that it can, but has no function for it.
    EXPECT_FALSE(device_->info().can_discard);
    EXPECT_EQ(EOPNOTSUPP, discard(0, 512).error().code);
    EXPECT_TRUE(extents(0, 512).empty());
    EXPECT_EQ("this handler cannot resize", why(device_->resize(131072)));
}

TEST_P(CppFace, ManyThatSuspendAtOnce) {
    open("cpp_face/later", 65536);
    std::string bytes(512, 'w');
    const SingleData data(bytes.data(), bytes.size());
    const IoRequest io(0, data);
    std::vector<Task<Status>> tasks;
    for (int i = 0; i < 100; ++i) {
        tasks.push_back(device_->write(queue(), io));
    }
    for (const Status& status : run_together(queue(), std::move(tasks))) {
        EXPECT_TRUE(status);
    }
}

TEST_P(CppFace, ARefusalIsASentence) {
    EXPECT_EQ("asked to refuse", why(try_open("cpp_face/refuse", 65536)));
}

}  // namespace lunkit::test
