/* SPDX-License-Identifier: Apache-2.0 */
/* Built from version 1 of the header: nothing but reading and writing, and both can only block. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "handler.h"

static int disk_open(const struct lunkit_open *request, void **device) {
    *device = calloc(1, request->size);
    request->info->size = request->size;
    return *device != NULL ? 0 : -ENOMEM;
}

static int disk_read(void *device, void *buffer, uint64_t length, uint64_t offset,
                     uint32_t flags) {
    (void)flags;
    memcpy(buffer, (char *)device + offset, length);
    return 0;
}

static int disk_write(void *device, const void *buffer, uint64_t length, uint64_t offset,
                      uint32_t flags) {
    (void)flags;
    memcpy((char *)device + offset, buffer, length);
    return 0;
}

static const struct lunkit_handler handler = {
    .struct_size = sizeof(struct lunkit_handler),
    .abi_version = LUNKIT_ABI_VERSION,
    .name = "old_blocking",
    .open = disk_open,
    .close = free,
    .read_blocking = disk_read,
    .write_blocking = disk_write,
};

const struct lunkit_handler *lunkit_handler_entry(const struct lunkit_host *host) {
    (void)host;
    return &handler;
}
