// SPDX-License-Identifier: Apache-2.0
// Our declarations against the distribution's header, where it has a word of it.
#include "ublk/abi.hpp"

#include <gtest/gtest.h>
#include <linux/ublk_cmd.h>

#include <cstddef>

namespace lunkit::ublk {
namespace {

TEST(UblkAbi, StructsHaveTheKernelsLayout) {
    static_assert(sizeof(abi::ControlCommand) == sizeof(ublksrv_ctrl_cmd));
    static_assert(offsetof(abi::ControlCommand, addr) == offsetof(ublksrv_ctrl_cmd, addr));
    static_assert(sizeof(abi::DeviceInfo) == sizeof(ublksrv_ctrl_dev_info));
    static_assert(offsetof(abi::DeviceInfo, max_io_buf_bytes) ==
                  offsetof(ublksrv_ctrl_dev_info, max_io_buf_bytes));
    static_assert(offsetof(abi::DeviceInfo, dev_id) == offsetof(ublksrv_ctrl_dev_info, dev_id));
    static_assert(offsetof(abi::DeviceInfo, flags) == offsetof(ublksrv_ctrl_dev_info, flags));
    static_assert(sizeof(abi::BasicParams) == sizeof(ublk_param_basic));
    static_assert(offsetof(abi::BasicParams, dev_sectors) ==
                  offsetof(ublk_param_basic, dev_sectors));
    static_assert(sizeof(abi::DiscardParams) == sizeof(ublk_param_discard));
    static_assert(offsetof(abi::Params, basic) == offsetof(ublk_params, basic));
    static_assert(offsetof(abi::Params, discard) == offsetof(ublk_params, discard));
    static_assert(sizeof(abi::IoDescriptor) == sizeof(ublksrv_io_desc));
    static_assert(sizeof(abi::IoCommand) == sizeof(ublksrv_io_cmd));
    SUCCEED();
}

TEST(UblkAbi, NumbersAreTheKernels) {
    constexpr std::uint32_t kNumber = 0xff;
    EXPECT_EQ(abi::kGetDevInfo & kNumber, static_cast<unsigned>(UBLK_CMD_GET_DEV_INFO));
    EXPECT_EQ(abi::kAddDev & kNumber, static_cast<unsigned>(UBLK_CMD_ADD_DEV));
    EXPECT_EQ(abi::kDelDev & kNumber, static_cast<unsigned>(UBLK_CMD_DEL_DEV));
    EXPECT_EQ(abi::kStartDev & kNumber, static_cast<unsigned>(UBLK_CMD_START_DEV));
    EXPECT_EQ(abi::kStopDev & kNumber, static_cast<unsigned>(UBLK_CMD_STOP_DEV));
    EXPECT_EQ(abi::kSetParams & kNumber, static_cast<unsigned>(UBLK_CMD_SET_PARAMS));
    EXPECT_EQ(abi::kFetchReq & kNumber, static_cast<unsigned>(UBLK_IO_FETCH_REQ));
    EXPECT_EQ(abi::kCommitAndFetchReq & kNumber,
              static_cast<unsigned>(UBLK_IO_COMMIT_AND_FETCH_REQ));
    EXPECT_EQ(int{abi::kStateDead}, UBLK_S_DEV_DEAD);
    EXPECT_EQ(int{abi::kStateLive}, UBLK_S_DEV_LIVE);
    EXPECT_EQ(int{abi::kStateQuiesced}, UBLK_S_DEV_QUIESCED);
    EXPECT_EQ(abi::kStartUserRecovery & kNumber,
              static_cast<unsigned>(UBLK_CMD_START_USER_RECOVERY));
    EXPECT_EQ(abi::kEndUserRecovery & kNumber, static_cast<unsigned>(UBLK_CMD_END_USER_RECOVERY));
    EXPECT_EQ(abi::kFlagUserRecovery, static_cast<std::uint64_t>(UBLK_F_USER_RECOVERY));
    EXPECT_EQ(abi::kFlagUserRecoveryReissue,
              static_cast<std::uint64_t>(UBLK_F_USER_RECOVERY_REISSUE));
    EXPECT_EQ(static_cast<int>(abi::Op::kWriteZeroes), UBLK_IO_OP_WRITE_ZEROES);
    EXPECT_EQ(abi::kIoFua, UBLK_IO_F_FUA);
    EXPECT_EQ(abi::kIoNoUnmap, UBLK_IO_F_NOUNMAP);
    EXPECT_EQ(abi::kAttrFua, static_cast<unsigned>(UBLK_ATTR_FUA));
    EXPECT_EQ(abi::kAttrVolatileCache, static_cast<unsigned>(UBLK_ATTR_VOLATILE_CACHE));
}

TEST(UblkAbi, CommandsAreEncodedAsIoctls) {
    EXPECT_EQ(abi::kAddDev, 0xc0207504U);  // _IOWR('u', 0x04, 32 bytes)
    EXPECT_EQ(abi::kGetFeatures, 0x80207513U);
    EXPECT_EQ(abi::kGetDevInfo, 0x80207502U);
    EXPECT_EQ(abi::kFetchReq, 0xc0107520U);
}

}  // namespace
}  // namespace lunkit::ublk
