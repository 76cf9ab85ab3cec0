/* SPDX-License-Identifier: Apache-2.0 */
/* Cannot start. */
#include <errno.h>
#include <stddef.h>

#include "handler.h"

static int disk_open(const struct lunkit_open *request, void **device) {
    (void)request, (void)device;
    return -ENXIO;
}

static void disk_close(void *device) { (void)device; }

static int disk_read(void *device, void *buffer, uint64_t length, uint64_t offset,
                     uint32_t flags) {
    (void)device, (void)buffer, (void)length, (void)offset, (void)flags;
    return -EIO;
}

static int cannot_start(const struct lunkit_host *host) {
    (void)host;
    return -ENODEV;
}

static const struct lunkit_handler handler = {
    .struct_size = sizeof(struct lunkit_handler),
    .abi_version = LUNKIT_ABI_VERSION,
    .name = "bad_load",
    .open = disk_open,
    .close = disk_close,
    .load = cannot_start,
    .read_blocking = disk_read,
};

const struct lunkit_handler *lunkit_handler_entry(const struct lunkit_host *host) {
    (void)host;
    return &handler;
}
