/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of linux/target_core_user.h, which is C only, for tests in C++. */
#ifndef LUNKIT_TEST_TCMU_KERNEL_LAYOUT_H
#define LUNKIT_TEST_TCMU_KERNEL_LAYOUT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tcmu_kernel_layout {
    /* struct tcmu_mailbox */
    size_t version, flags, cmdr_off, cmdr_size, cmd_head, cmd_tail, mailbox_size;
    unsigned cap_oooc, cap_read_len, cap_tmr, cap_keep_buf;
    /* struct tcmu_cmd_entry */
    unsigned op_mask, op_pad, op_cmd, op_tmr, op_align;
    unsigned uflag_unknown_op, uflag_read_len, uflag_keep_buf;
    size_t len_op, cmd_id, uflags, header_size;
    size_t iov_cnt, iov_bidi_cnt, cdb_off, iov;
    size_t scsi_status, read_len, sense_buffer, sense_size, entry_size;
    /* struct tcmu_tmr_entry */
    size_t tmr_type, tmr_cmd_cnt, tmr_cmd_ids;
    /* enum tcmu_genl_cmd, enum tcmu_genl_attr */
    unsigned added, removed, reconfig, added_done, removed_done, reconfig_done, set_features;
    unsigned attr_device, attr_minor, attr_dev_cfg, attr_dev_size, attr_writecache, attr_cmd_status;
    unsigned attr_device_id, attr_supp_kern_cmd_reply, attr_max;
};

extern const struct tcmu_kernel_layout tcmu_kernel_layout;

#ifdef __cplusplus
}
#endif
#endif
