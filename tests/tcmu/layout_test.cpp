// SPDX-License-Identifier: Apache-2.0
// Our words for the kernel's layout against the distribution's header.
#include "support/tcmu_kernel_layout.h"

#include <gtest/gtest.h>

#include "tcmu/netlink.hpp"
#include "tcmu/ring_layout.hpp"

namespace lunkit::tcmu {
namespace {

const auto& kernel = ::tcmu_kernel_layout;

TEST(Layout, MailboxIsTheKernels) {
    EXPECT_EQ(mailbox::kVersion, kernel.version);
    EXPECT_EQ(mailbox::kFlags, kernel.flags);
    EXPECT_EQ(mailbox::kCmdrOff, kernel.cmdr_off);
    EXPECT_EQ(mailbox::kCmdrSize, kernel.cmdr_size);
    EXPECT_EQ(mailbox::kCmdHead, kernel.cmd_head);
    EXPECT_EQ(mailbox::kCmdTail, kernel.cmd_tail);
    EXPECT_EQ(mailbox::kSize, kernel.mailbox_size);
    EXPECT_EQ(mailbox::kOutOfOrder, kernel.cap_oooc);
    EXPECT_EQ(mailbox::kReadLen, kernel.cap_read_len);
    EXPECT_EQ(mailbox::kTmr, kernel.cap_tmr);
    EXPECT_EQ(mailbox::kKeepBuf, kernel.cap_keep_buf);
}

TEST(Layout, EntryVersion2IsTheKernels) {
    const EntryLayout& entry = kEntryVersion2;
    EXPECT_EQ(kOpMask, kernel.op_mask);
    EXPECT_EQ(kOpPad, kernel.op_pad);
    EXPECT_EQ(kOpCommand, kernel.op_cmd);
    EXPECT_EQ(kOpTmr, kernel.op_tmr);
    EXPECT_EQ(kEntryAlignment, kernel.op_align);
    EXPECT_EQ(kUflagUnknownOp, kernel.uflag_unknown_op);
    EXPECT_EQ(kUflagReadLen, kernel.uflag_read_len);
    EXPECT_EQ(kUflagKeepBuf, kernel.uflag_keep_buf);
    EXPECT_EQ(entry.header_size, kernel.header_size);
    EXPECT_EQ(entry.len_op, kernel.len_op);
    EXPECT_EQ(entry.cmd_id, kernel.cmd_id);
    EXPECT_EQ(entry.uflags, kernel.uflags);
    EXPECT_EQ(entry.iov_count, kernel.iov_cnt);
    EXPECT_EQ(entry.bidi_count, kernel.iov_bidi_cnt);
    EXPECT_EQ(entry.cdb_off, kernel.cdb_off);
    EXPECT_EQ(entry.iov, kernel.iov);
    EXPECT_EQ(entry.status, kernel.scsi_status);
    EXPECT_EQ(entry.read_len, kernel.read_len);
    EXPECT_EQ(entry.sense, kernel.sense_buffer);
    EXPECT_EQ(kSenseSize, kernel.sense_size);
    EXPECT_EQ(entry.size, kernel.entry_size);
}

TEST(Layout, TmrEntryIsTheKernels) {
    EXPECT_EQ(tmr_entry::kType, kernel.tmr_type);
    EXPECT_EQ(tmr_entry::kCmdCnt, kernel.tmr_cmd_cnt);
    EXPECT_EQ(tmr_entry::kCmdIds, kernel.tmr_cmd_ids);
}

TEST(Layout, NetlinkNumbersAreTheKernels) {
    EXPECT_EQ(genl::kAddedDevice, kernel.added);
    EXPECT_EQ(genl::kRemovedDevice, kernel.removed);
    EXPECT_EQ(genl::kReconfigDevice, kernel.reconfig);
    EXPECT_EQ(genl::kAddedDeviceDone, kernel.added_done);
    EXPECT_EQ(genl::kRemovedDeviceDone, kernel.removed_done);
    EXPECT_EQ(genl::kReconfigDeviceDone, kernel.reconfig_done);
    EXPECT_EQ(genl::kSetFeatures, kernel.set_features);
    EXPECT_EQ(genl::kAttrDevice, static_cast<int>(kernel.attr_device));
    EXPECT_EQ(genl::kAttrMinor, static_cast<int>(kernel.attr_minor));
    EXPECT_EQ(genl::kAttrDevCfg, static_cast<int>(kernel.attr_dev_cfg));
    EXPECT_EQ(genl::kAttrDevSize, static_cast<int>(kernel.attr_dev_size));
    EXPECT_EQ(genl::kAttrWriteCache, static_cast<int>(kernel.attr_writecache));
    EXPECT_EQ(genl::kAttrCmdStatus, static_cast<int>(kernel.attr_cmd_status));
    EXPECT_EQ(genl::kAttrDeviceId, static_cast<int>(kernel.attr_device_id));
    EXPECT_EQ(genl::kAttrSuppKernCmdReply, static_cast<int>(kernel.attr_supp_kern_cmd_reply));
    EXPECT_EQ(genl::kAttrMax, static_cast<int>(kernel.attr_max));
}

}  // namespace
}  // namespace lunkit::tcmu
