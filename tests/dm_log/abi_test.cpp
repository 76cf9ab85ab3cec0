// SPDX-License-Identifier: Apache-2.0
// Our declarations against the distribution's headers.
#include "dm_log/abi.hpp"

#include <gtest/gtest.h>
#include <linux/connector.h>
#include <linux/dm-ioctl.h>
#include <linux/dm-log-userspace.h>

#include <cstddef>

namespace lunkit::dm_log {
namespace {

TEST(DmLogAbi, StructsHaveTheKernelsLayout) {
    static_assert(sizeof(abi::UlogRequest) == sizeof(dm_ulog_request));
    static_assert(offsetof(abi::UlogRequest, uuid) == offsetof(dm_ulog_request, uuid));
    static_assert(sizeof(abi::UlogRequest::uuid) == sizeof(dm_ulog_request::uuid));
    static_assert(offsetof(abi::UlogRequest, version) == offsetof(dm_ulog_request, version));
    static_assert(offsetof(abi::UlogRequest, error) == offsetof(dm_ulog_request, error));
    static_assert(offsetof(abi::UlogRequest, seq) == offsetof(dm_ulog_request, seq));
    static_assert(offsetof(abi::UlogRequest, request_type) ==
                  offsetof(dm_ulog_request, request_type));
    static_assert(offsetof(abi::UlogRequest, data_size) == offsetof(dm_ulog_request, data_size));
    static_assert(sizeof(abi::ConnectorHeader) == sizeof(cn_msg));
    static_assert(offsetof(abi::ConnectorHeader, seq) == offsetof(cn_msg, seq));
    static_assert(offsetof(abi::ConnectorHeader, len) == offsetof(cn_msg, len));
    SUCCEED();
}

TEST(DmLogAbi, NumbersAreTheKernels) {
    EXPECT_EQ(abi::kConnectorIdx, static_cast<unsigned>(CN_IDX_DM));
    EXPECT_EQ(abi::kConnectorValue, static_cast<unsigned>(CN_VAL_DM_USERSPACE_LOG));
    EXPECT_EQ(abi::kNewestVersion, static_cast<unsigned>(DM_ULOG_REQUEST_VERSION));
    EXPECT_EQ(abi::kRequestMask, static_cast<unsigned>(DM_ULOG_REQUEST_MASK));
    EXPECT_EQ(static_cast<int>(abi::RequestType::kCtr), DM_ULOG_CTR);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kDtr), DM_ULOG_DTR);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kPresuspend), DM_ULOG_PRESUSPEND);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kPostsuspend), DM_ULOG_POSTSUSPEND);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kResume), DM_ULOG_RESUME);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kGetRegionSize), DM_ULOG_GET_REGION_SIZE);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kIsClean), DM_ULOG_IS_CLEAN);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kInSync), DM_ULOG_IN_SYNC);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kFlush), DM_ULOG_FLUSH);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kMarkRegion), DM_ULOG_MARK_REGION);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kClearRegion), DM_ULOG_CLEAR_REGION);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kGetResyncWork), DM_ULOG_GET_RESYNC_WORK);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kSetRegionSync), DM_ULOG_SET_REGION_SYNC);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kGetSyncCount), DM_ULOG_GET_SYNC_COUNT);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kStatusInfo), DM_ULOG_STATUS_INFO);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kStatusTable), DM_ULOG_STATUS_TABLE);
    EXPECT_EQ(static_cast<int>(abi::RequestType::kIsRemoteRecovering),
              DM_ULOG_IS_REMOTE_RECOVERING);
}

}  // namespace
}  // namespace lunkit::dm_log
