// SPDX-License-Identifier: Apache-2.0
#include "filters/error.hpp"

#include <cerrno>

#include <gmock/gmock.h>

#include "filter_rig.hpp"

namespace lunkit::filters {

using ::testing::ElementsAre;
using Of = ErrorOptions::Of;

class InjectedError : public FilterRig {
  protected:
    std::unique_ptr<ErrorFilter> filter(ErrorOptions options) {
        return std::make_unique<ErrorFilter>(memory(), std::move(options), world(), 4711);
    }
    /// Of a request: its errno, 0 when it was served.
    static int code(const Status& status) { return status ? 0 : status.error().code; }
    /// Of read, write, flush, discard, write_zeroes.
    std::vector<int> codes(BlockDevice& device) {
        return {code(read(device)), code(write(device)), code(run(device.flush(queue_))),
                code(run(device.discard(queue_, IoRequest(0, 512)))),
                code(run(device.write_zeroes(queue_, IoRequest(0, 512))))};
    }
};

TEST_F(InjectedError, EveryRequestByDefault) {
    const auto device = filter({});
    EXPECT_THAT(codes(*device), ElementsAre(EIO, EIO, EIO, EIO, EIO));
    EXPECT_TRUE(memory_.requests.empty()) << "what fails does not reach the device";
}

TEST_F(InjectedError, OfOneKindOfRequests) {
    const auto device = filter({.code = ENOSPC, .of = Of::kWrite});
    EXPECT_THAT(codes(*device), ElementsAre(0, ENOSPC, 0, ENOSPC, ENOSPC));
}

TEST_F(InjectedError, OfReads) {
    EXPECT_THAT(codes(*filter({.of = Of::kRead})), ElementsAre(EIO, 0, 0, 0, 0));
}

TEST_F(InjectedError, OfFlushes) {
    EXPECT_THAT(codes(*filter({.of = Of::kFlush})), ElementsAre(0, 0, EIO, 0, 0));
}

TEST_F(InjectedError, AShareOfTheRequests) {
    const auto device = filter({.share = kWhole / 4});
    int failed = 0;
    for (int i = 0; i < 4000; ++i) {
        failed += code(read(*device)) == EIO ? 1 : 0;
    }
    EXPECT_GT(failed, 900);
    EXPECT_LT(failed, 1100);
}

TEST_F(InjectedError, OnlyWhileTheFileIsThere) {
    const auto device = filter({.file = "/run/fail"});
    EXPECT_EQ(0, code(read(*device)));
    file_is_there_ = true;
    queue_.advance(ErrorFilter::kLookEvery);
    EXPECT_EQ(EIO, code(read(*device)));
    file_is_there_ = false;
    queue_.advance(ErrorFilter::kLookEvery);
    EXPECT_EQ(0, code(read(*device)));
    EXPECT_THAT(looks_, ElementsAre("/run/fail", "/run/fail", "/run/fail"));
}

TEST_F(InjectedError, TheFileIsNotLookedForByEveryRequest) {
    const auto device = filter({.file = "/run/fail"});
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(0, code(read(*device)));
    }
    EXPECT_EQ(1U, looks_.size());
}

TEST_F(InjectedError, AFileThatTheDaemonMayNotLookForIsNone) {
    const auto device = filter({.file = "/run/fail"});
    file_error_ = EPERM;
    EXPECT_EQ(0, code(read(*device)));
}

}  // namespace lunkit::filters
