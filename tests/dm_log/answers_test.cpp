// SPDX-License-Identifier: Apache-2.0
// A test for each type of request: what comes back, in exactly the size that the kernel expects.
#include "dm_log/answers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "requests.hpp"

namespace lunkit::dm_log {
namespace {

using abi::RequestType;
using test::numbers_of;
using test::request;
using test::with_numbers;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kRegions = 8;

class AnswersTest : public testing::Test {
  protected:
    void SetUp() override { log.begin({}, 0, true); }
    Answer ask(RequestType type, const std::vector<std::uint64_t>& numbers = {}) {
        return ask(with_numbers(request(type), numbers));
    }
    Answer ask(const Request& made) {
        return answer_for(log, *parse_log_arguments("8192 core 1024"), {"1 core", "core 1024"},
                          made);
    }
    std::vector<std::uint64_t> memory = std::vector<std::uint64_t>(DirtyLog::words_for(kRegions));
    DirtyLog log{kRegions, memory};
};

TEST_F(AnswersTest, GetRegionSize) {
    EXPECT_THAT(numbers_of(ask(RequestType::kGetRegionSize)), ElementsAre(1024));
}

TEST_F(AnswersTest, MarkAndClearTakeManyRegions) {
    const Answer marked = ask(RequestType::kMarkRegion, {1, 7, 3});
    EXPECT_EQ(marked.error(), 0);
    EXPECT_THAT(marked.data(), IsEmpty());
    EXPECT_THAT(numbers_of(ask(RequestType::kIsClean, {7})), ElementsAre(0));
    EXPECT_THAT(ask(RequestType::kClearRegion, {7, 3}).data(), IsEmpty());
    EXPECT_THAT(numbers_of(ask(RequestType::kIsClean, {7})), ElementsAre(1));
    EXPECT_FALSE(log.is_clean(1));
}

TEST_F(AnswersTest, FlushMarksWhatItCarries) {
    EXPECT_THAT(ask(RequestType::kFlush).data(), IsEmpty());
    EXPECT_EQ(log.clean_count(), kRegions);
    const Answer integrated = ask(RequestType::kFlush, {2, 4});
    EXPECT_EQ(integrated.error(), 0);
    EXPECT_THAT(integrated.data(), IsEmpty());  // data would be ENOSPC in the kernel
    EXPECT_FALSE(log.is_clean(2));
    EXPECT_FALSE(log.is_clean(4));
}

TEST_F(AnswersTest, InSyncAndSetRegionSync) {
    EXPECT_THAT(numbers_of(ask(RequestType::kInSync, {5})), ElementsAre(1));
    EXPECT_THAT(ask(RequestType::kSetRegionSync, {5, 0}).data(), IsEmpty());
    EXPECT_THAT(numbers_of(ask(RequestType::kInSync, {5})), ElementsAre(0));
    EXPECT_THAT(numbers_of(ask(RequestType::kGetSyncCount)), ElementsAre(7));
    EXPECT_THAT(numbers_of(ask(RequestType::kGetResyncWork)), ElementsAre(1, 5));
    EXPECT_EQ(ask(RequestType::kSetRegionSync, {5, 1}).error(), 0);
    EXPECT_THAT(numbers_of(ask(RequestType::kGetResyncWork)), ElementsAre(0, 0));
}

// The hint of the last region keeps isolated writes from waiting; that of all regions would end
// the resync.
TEST_F(AnswersTest, IsRemoteRecoveringHints) {
    EXPECT_THAT(numbers_of(ask(RequestType::kIsRemoteRecovering, {1})), ElementsAre(0, 8));
    log.set_in_sync(2, false);
    EXPECT_THAT(numbers_of(ask(RequestType::kIsRemoteRecovering, {1})), ElementsAre(0, 7));
}

TEST_F(AnswersTest, StatusIsTextWithItsNul) {
    EXPECT_EQ(test::text_of(ask(RequestType::kStatusInfo)), std::string("1 core\0", 7));
    EXPECT_EQ(test::text_of(ask(RequestType::kStatusTable)), std::string("core 1024\0", 10));
}

TEST_F(AnswersTest, SuspensionIsAcknowledged) {
    for (const RequestType type : {RequestType::kPresuspend, RequestType::kPostsuspend}) {
        EXPECT_EQ(ask(type).error(), 0);
        EXPECT_THAT(ask(type).data(), IsEmpty());
    }
}

TEST_F(AnswersTest, WrongDataIsRefusedAndChangesNothing) {
    const std::vector<Request> wrong = {
        with_numbers(request(RequestType::kMarkRegion), {1, kRegions}),
        with_numbers(request(RequestType::kFlush), {1, ~std::uint64_t{0}}),
        with_numbers(request(RequestType::kClearRegion), {kRegions}),
        with_numbers(request(RequestType::kSetRegionSync), {kRegions, 0}),
        with_numbers(request(RequestType::kSetRegionSync), {1}),
        with_numbers(request(RequestType::kSetRegionSync), {1, 0, 0}),
        with_numbers(request(RequestType::kInSync), {kRegions}),
        with_numbers(request(RequestType::kInSync), {}),
        with_numbers(request(RequestType::kIsClean), {1, 2}),
        with_numbers(request(RequestType::kIsRemoteRecovering), {kRegions}),
        with_numbers(request(RequestType::kGetRegionSize), {1}),
        with_numbers(request(RequestType::kGetResyncWork), {1}),
        with_numbers(request(RequestType::kGetSyncCount), {1}),
        with_numbers(request(RequestType::kStatusInfo), {1}),
        with_numbers(request(RequestType::kStatusTable), {1}),
        with_numbers(request(RequestType::kPresuspend), {1}),
        with_numbers(request(RequestType::kPostsuspend), {1}),
        test::with_text(request(RequestType::kMarkRegion), "seven b"),
        request(static_cast<RequestType>(0)),
        request(static_cast<RequestType>(18)),
        request(static_cast<RequestType>(255)),
    };
    for (std::size_t i = 0; i < wrong.size(); ++i) {
        const Answer answer = ask(wrong[i]);
        EXPECT_EQ(answer.error(), -EINVAL) << i;
        EXPECT_THAT(answer.data(), IsEmpty()) << i;
    }
    EXPECT_EQ(log.clean_count(), kRegions);
    EXPECT_EQ(log.sync_count(), kRegions);
}

// RESUME went to nobody; when it comes late, what was marked must not be forgotten.
TEST_F(AnswersTest, LogThatIsUsedWithoutResumeHasBegun) {
    for (const RequestType type : {RequestType::kMarkRegion, RequestType::kGetResyncWork}) {
        std::vector<std::uint64_t> fresh_memory(DirtyLog::words_for(kRegions));
        DirtyLog fresh(kRegions, fresh_memory);
        (void)answer_for(fresh, {}, {}, request(RequestType::kGetSyncCount));
        EXPECT_FALSE(fresh.has_begun());
        (void)answer_for(fresh, {}, {}, request(type));
        EXPECT_TRUE(fresh.has_begun());
        EXPECT_EQ(fresh.sync_count(), 0U);
    }
}

// With another error, or with less room, the next write went to one leg only (measured).
TEST_F(AnswersTest, UnknownLogLeavesRoomForTheReplyToTheNextAttempt) {
    const auto room = [](RequestType type) {
        const Answer answer = unknown_log(request(type));
        EXPECT_EQ(answer.error(), -ESRCH);
        return answer.data().size();
    };
    EXPECT_EQ(room(RequestType::kInSync), 8U);
    EXPECT_EQ(room(RequestType::kIsClean), 8U);
    EXPECT_EQ(room(RequestType::kGetSyncCount), 8U);
    EXPECT_EQ(room(RequestType::kGetRegionSize), 8U);
    EXPECT_EQ(room(RequestType::kGetResyncWork), 16U);
    EXPECT_EQ(room(RequestType::kIsRemoteRecovering), 16U);
    EXPECT_GE(room(RequestType::kStatusInfo), 100U);
    for (const RequestType type :
         {RequestType::kFlush, RequestType::kMarkRegion, RequestType::kClearRegion,
          RequestType::kSetRegionSync, RequestType::kResume, RequestType::kPostsuspend}) {
        EXPECT_EQ(room(type), 0U);
    }
    EXPECT_EQ(unknown_log(request(RequestType::kDtr)).error(), 0);
    EXPECT_EQ(unknown_log(request(static_cast<RequestType>(99))).error(), -EINVAL);
}

}  // namespace
}  // namespace lunkit::dm_log
