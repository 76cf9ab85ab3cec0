// SPDX-License-Identifier: Apache-2.0
#include "control/trace_streams.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "control/glib_handle.hpp"

namespace lunkit::control {
namespace {

using core::TraceRecord;
using core::TraceTap;

class TraceStreamsTest : public testing::Test {
  protected:
    void SetUp() override {
        auto watcher = streams_->open(tap_);
        ASSERT_TRUE(watcher);
        watcher_ = *std::move(watcher);
    }
    /// More than it has room for.
    void put_too_many(std::uint64_t lost) {
        for (std::uint64_t tag = 0; tag < TraceTap::kRecords + lost; ++tag) {
            tap_->put({.ended_at = 1, .tag = tag});
        }
    }
    /// What comes until the stream ends.
    std::vector<TraceRecord> take_all() {
        std::vector<TraceRecord> all;
        std::array<TraceRecord, 256> records;
        for (;;) {
            const ssize_t got =
                ::recv(watcher_.get(), records.data(), sizeof records, MSG_DONTWAIT);
            if (got == 0) {
                return all;
            }
            if (got < 0) {
                g_main_context_iteration(nullptr, TRUE);
                continue;
            }
            all.insert(all.end(), records.begin(),
                       records.begin() + got / static_cast<ssize_t>(sizeof(TraceRecord)));
        }
    }

    std::shared_ptr<TraceTap> tap_ = std::make_shared<TraceTap>();
    std::unique_ptr<TraceStreams> streams_ = std::make_unique<TraceStreams>();
    UniqueFd watcher_;
};

TEST_F(TraceStreamsTest, WhatWasLostBeforeTheDeviceWentIsTold) {
    put_too_many(3);
    tap_->close();
    const auto records = take_all();
    ASSERT_EQ(records.size(), TraceTap::kRecords + 1);
    EXPECT_EQ(records.back().lost, 3U);
    EXPECT_FALSE(records.back().is_command());
    EXPECT_TRUE(records.front().is_command());
}

TEST_F(TraceStreamsTest, WhatWasLostBeforeTheWatcherHadEnoughIsTold) {
    put_too_many(3);
    ASSERT_EQ(::shutdown(watcher_.get(), SHUT_WR), 0);
    const auto records = take_all();
    ASSERT_EQ(records.size(), TraceTap::kRecords + 1);
    EXPECT_EQ(records.back().lost, 3U);
    EXPECT_FALSE(tap_->is_watched());
}

TEST_F(TraceStreamsTest, WhatWasPutBeforeTheDaemonEndsArrives) {
    tap_->put({.ended_at = 1, .tag = 7});
    streams_.reset();
    const auto records = take_all();
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].tag, 7U);
}

}  // namespace
}  // namespace lunkit::control
