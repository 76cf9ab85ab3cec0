// SPDX-License-Identifier: Apache-2.0
#include "lunkit/result.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "lunkit/task.hpp"
#include "lunkit/try.hpp"
#include "support/fake_queue.hpp"
#include "support/run_task.hpp"

namespace lunkit {
namespace {

Result<std::unique_ptr<int>> boxed(int value) {
    if (value < 0) {
        return failure(ERANGE, "negative");
    }
    return std::make_unique<int>(value);
}

Result<int> sum(int a, int b) {
    TRY(const std::unique_ptr<int> first, boxed(a));
    TRY(const std::unique_ptr<int> second, boxed(b));
    return *first + *second;
}

Status both(int a, int b) {
    CHECK(sum(a, 0));
    CHECK(sum(b, 0));
    return {};
}

Task<Result<int>> later(Queue& queue, int value) {
    co_await queue.yield();
    co_return sum(value, 0);
}

Task<Result<int>> sum_later(Queue& queue, int a, int b) {
    CO_TRY(const int first, co_await later(queue, a));
    CO_CHECK(co_await later(queue, b));
    CO_TRY(const int second, co_await later(queue, b));
    co_return first + second;
}

TEST(Try, PassesOnTheFirstError) {
    EXPECT_EQ(sum(1, 2), 3);
    const Result<int> failed = sum(1, -2);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ERANGE);
    EXPECT_EQ(failed.error().what, "negative");
}

TEST(Try, CheckPassesOnTheErrorOnly) {
    EXPECT_TRUE(both(1, 2));
    EXPECT_FALSE(both(-1, 2));
    EXPECT_FALSE(both(1, -2));
}

TEST(Try, WorksAcrossAwaits) {
    test::FakeQueue queue;
    EXPECT_EQ(test::run_task(queue, sum_later(queue, 1, 2)), 3);
    EXPECT_EQ(test::run_task(queue, sum_later(queue, 1, -2)).error().code, ERANGE);
}

TEST(Error, HasNoPositionUnlessGivenOne) {
    EXPECT_EQ(failure(EIO).error().offset, LUNKIT_NO_OFFSET);
    EXPECT_EQ(failure(EIO).error().error_class, ErrorClass::kUnspecified);
}

}  // namespace
}  // namespace lunkit
