// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "handler_rig.hpp"

namespace lunkit::test {

using ::testing::HasSubstr;

class NullHandler : public HandlerRig {};
LUNKIT_ON_EACH_ENGINE(NullHandler);

TEST_P(NullHandler, ForgetsWritesAndReadsZeros) {
    open("null/", 1U << 20U);
    EXPECT_EQ(device_->info().size, 1U << 20U);
    EXPECT_TRUE(write(4096, std::string(200'704, 'w')));
    EXPECT_TRUE(read(4096, 200'704) == std::string(200'704, '\0'));
    EXPECT_TRUE(discard(0, 4096));
    EXPECT_TRUE(write_zeroes(0, 4096, 0));
}

TEST_P(NullHandler, HasASizeOfItsOwn) {
    open("null/", 0);
    EXPECT_EQ(device_->info().size, std::uint64_t{250} << 30U);
}

TEST_P(NullHandler, TakesNoConfiguration) {
    EXPECT_EQ(check("null/"), "");
    EXPECT_THAT(check("null/x"), HasSubstr("takes no more"));
    EXPECT_THAT(why(try_open("null/x", 4096)), HasSubstr("takes no more"));
}

}  // namespace lunkit::test
