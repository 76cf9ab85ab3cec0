/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin from before the last fields: its table ends at read_blocking. What lies behind is not
 * the table's, and the runner must not take it for callbacks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "handler.h"

static const struct lunkit_host *host;

static int disk_open(const struct lunkit_open *request, void **device) {
    *device = calloc(1, request->size);
    request->info->size = request->size;
    return *device != NULL ? 0 : -ENOMEM;
}

static int disk_read(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                     struct lunkit_completion *completion) {
    (void)queue;
    (void)completion;
    return host->copy_to(io->data, io->data_offset, (char *)device + io->offset, io->length);
}

static int disk_write(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                      struct lunkit_completion *completion) {
    (void)queue;
    (void)completion;
    return host->copy_from(io->data, io->data_offset, (char *)device + io->offset, io->length);
}

static int not_a_resize(void *device, uint64_t size, struct lunkit_device_info *info, char *error,
                        size_t error_size) {
    (void)device, (void)size, (void)info, (void)error, (void)error_size;
    abort();
}

static int not_a_discard(void *device, uint64_t length, uint64_t offset, uint32_t flags) {
    (void)device, (void)length, (void)offset, (void)flags;
    abort();
}

static const struct lunkit_handler handler = {
    .struct_size = offsetof(struct lunkit_handler, read_blocking),
    .abi_version = LUNKIT_ABI_VERSION,
    .name = "old_small",
    .open = disk_open,
    .close = free,
    .read = disk_read,
    .write = disk_write,
    .discard_blocking = not_a_discard,
    .resize = not_a_resize,
};

const struct lunkit_handler *lunkit_handler_entry(const struct lunkit_host *table) {
    host = table;
    return &handler;
}
