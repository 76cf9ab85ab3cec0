// SPDX-License-Identifier: Apache-2.0
#include "filters/part.hpp"

#include <cerrno>

#include <gmock/gmock.h>

#include "filter_rig.hpp"

namespace lunkit::filters {

using ::testing::HasSubstr;

class Part : public FilterRig {
  protected:
    static constexpr std::uint64_t kOffset = 64 << 10;
    static constexpr std::uint64_t kLength = 128 << 10;

    Result<std::unique_ptr<BlockDevice>> make(const PartOptions& options, std::uint64_t wanted = 0,
                                              std::uint32_t block_size = 512) {
        end_ = std::make_shared<PartEnd>(options);
        return PartFilter::make(memory(), options, block_size, wanted, end_);
    }
    /// Why it cannot be made.
    std::string refusal(const PartOptions& options, std::uint64_t wanted = 0,
                        std::uint32_t block_size = 512) {
        const auto made = make(options, wanted, block_size);
        return made ? "" : made.error().what;
    }
    std::shared_ptr<PartEnd> end_;
};

TEST_F(Part, RequestsGoToTheirPlaceInTheWhole) {
    const auto part = *make({.offset = kOffset, .size = kLength});
    EXPECT_EQ(kLength, part->info().size);
    ASSERT_TRUE(write(*part, 512));
    EXPECT_EQ(std::byte{0x5a}, memory_.bytes()[kOffset + 512]);
    ASSERT_TRUE(read(*part, 1024));
    ASSERT_TRUE(run(part->write_zeroes(queue_, IoRequest(1536, 512))));
    ASSERT_TRUE(run(part->discard(queue_, IoRequest(2048, 512))));
    ASSERT_EQ(4U, memory_.requests.size());
    for (std::uint64_t i = 0; i < 4; ++i) {
        EXPECT_EQ(kOffset + (i + 1) * 512, memory_.requests[i].offset);
    }
}

TEST_F(Part, NothingOutsideOfItIsReached) {
    const auto part = *make({.offset = kOffset, .size = kLength});
    EXPECT_EQ(ERANGE, read(*part, kLength).error().code);
    EXPECT_EQ(ERANGE, write(*part, kLength - 512, 1024).error().code);
    EXPECT_EQ(ERANGE, write(*part, ~std::uint64_t{511}).error().code) << "which would wrap round";
    EXPECT_EQ(ERANGE, run(part->discard(queue_, IoRequest(kLength, 512))).error().code);
    EXPECT_EQ(ERANGE, run(part->write_zeroes(queue_, IoRequest(kLength, 512))).error().code);
    EXPECT_TRUE(memory_.requests.empty());
}

TEST_F(Part, WhatIsAtomicStaysSo) {
    const auto part = *make({.offset = kOffset});
    std::vector<std::byte> bytes(1024);
    const SingleData data(bytes);
    IoRequest io(512, data);
    io.length = 512;
    ASSERT_TRUE(run(part->compare_and_write(queue_, io)));
    ASSERT_TRUE(run(part->or_write(queue_, io)));
    EXPECT_EQ((test::MemoryDevice::Request{Kind::kCompareAndWrite, kOffset + 512, 512, 0}),
              memory_.requests[0]);
    EXPECT_EQ((test::MemoryDevice::Request{Kind::kOrWrite, kOffset + 512, 512, 0}),
              memory_.requests[1]);
}

TEST_F(Part, ExtentsAreThoseOfThePart) {
    ASSERT_TRUE(run(memory_.discard(queue_, IoRequest(kOffset + 1024, 512))));
    const auto part = *make({.offset = kOffset});
    std::vector<Extent> extents(8);
    const auto count = test::run_task(queue_, part->extents(queue_, IoRequest(512, 1536), extents));
    ASSERT_TRUE(count);
    ASSERT_EQ(3U, *count);
    EXPECT_EQ(512U, extents[0].length);
    EXPECT_EQ(512U, extents[1].length);
    EXPECT_NE(0U, extents[1].flags);
}

TEST_F(Part, WithoutASizeItReachesToTheEnd) {
    EXPECT_EQ(kSize - kOffset, (*make({.offset = kOffset}))->info().size);
}

TEST_F(Part, HasTheSizeThatIsAskedFor) {
    EXPECT_EQ(4096U, (*make({.offset = kOffset}, 4096))->info().size);
}

TEST_F(Part, WhatIsNotThereIsRefused) {
    EXPECT_THAT(refusal({.offset = kOffset, .size = kSize}), HasSubstr("has 1048576 bytes"));
}

TEST_F(Part, AnOffsetBehindTheEndIsRefused) {
    EXPECT_THAT(refusal({.offset = kSize}), HasSubstr("has 1048576 bytes"));
}

TEST_F(Part, AFrontEndThatWantsMoreIsRefused) {
    EXPECT_THAT(refusal({.size = kLength}, 2 * kLength),
                HasSubstr("131072 bytes; 262144 are asked for"));
}

TEST_F(Part, OnlyWholeBlocks) {
    EXPECT_THAT(refusal({.offset = 512}, 0, 4096), HasSubstr("no whole blocks of 4096 bytes"));
}

TEST_F(Part, AZonedDeviceHasNone) {
    memory_.properties.type = DeviceType::kZoned;
    EXPECT_EQ("no part of a zoned device can be served", refusal({.offset = kOffset}));
}

TEST_F(Part, AlignmentCountsFromItsBeginning) {
    memory_.properties.physical_block_size = 4096;
    memory_.properties.discard_granularity = 65536;
    const auto part = *make({.offset = 33U * 1024});
    EXPECT_EQ(1024U, part->info().physical_block_size);
    EXPECT_EQ(1024U, part->info().discard_granularity);
}

TEST_F(Part, TellsNoSpace) {
    memory_.properties.can_tell_space = true;
    const auto part = *make({.offset = kOffset});
    EXPECT_FALSE(part->info().can_tell_space);
    EXPECT_EQ(EOPNOTSUPP, test::run_task(queue_, part->space(queue_)).error().code);
}

TEST_F(Part, OneOfAFixedSizeKeepsIt) {
    const auto part = *make({.offset = kOffset, .size = kLength});
    EXPECT_TRUE(part->resize(kLength));
    EXPECT_EQ("filter.size says what the size is", part->resize(2 * kLength).error().what);
}

TEST_F(Part, IsResizedWithinTheWhole) {
    const auto part = *make({.offset = kOffset}, 4096);
    ASSERT_TRUE(part->resize(8192));
    EXPECT_EQ(8192U, part->info().size);
    EXPECT_TRUE(read(*part, 4096, 4096));
    ASSERT_TRUE(part->resize(4096));
    EXPECT_EQ(ERANGE, read(*part, 4096, 4096).error().code);
    EXPECT_EQ(EOPNOTSUPP, part->resize(kSize).error().code) << "the device below cannot grow";
}

TEST_F(Part, FollowsTheEndOfTheWhole) {
    const auto part = *make({.offset = kOffset});
    EXPECT_EQ(2 * kSize - kOffset, end_->follow(2 * kSize));
    EXPECT_EQ(2 * kSize - kOffset, part->info().size);
    EXPECT_EQ(kSize - kOffset, end_->follow(kSize));
    EXPECT_EQ(0U, end_->follow(kSize)) << "no news";
    EXPECT_EQ(0U, end_->follow(kOffset)) << "nothing would be left";
}

TEST_F(Part, OneThatEndsBeforeTheEndStaysUnlessItIsCut) {
    const auto part = *make({.offset = kOffset}, kLength);
    EXPECT_EQ(0U, end_->follow(2 * kSize));
    EXPECT_EQ(4096U, end_->follow(kOffset + 4096));
    EXPECT_EQ(4096U, part->info().size);
}

TEST_F(Part, OneOfAFixedSizeThatWasCutGrowsBackToItAndNoFurther) {
    const auto part = *make({.offset = kOffset, .size = kLength});
    EXPECT_EQ(4096U, end_->follow(kOffset + 4096));
    EXPECT_EQ(kLength, end_->follow(kSize));
    EXPECT_EQ(kLength, part->info().size);
}

TEST(PartEnd, BeforeTheDeviceIsOpenThereIsNoNews) {
    PartEnd end({.offset = 4096});
    EXPECT_EQ(0U, end.follow(65536));
}

}  // namespace lunkit::filters
