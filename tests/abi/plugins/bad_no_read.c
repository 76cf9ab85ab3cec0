/* SPDX-License-Identifier: Apache-2.0 */
/* Has no way to read. */
#include <errno.h>
#include <stddef.h>

#include "handler.h"

static int disk_open(const struct lunkit_open *request, void **device) {
    (void)request, (void)device;
    return -ENXIO;
}

static void disk_close(void *device) { (void)device; }

static const struct lunkit_handler handler = {
    .struct_size = sizeof(struct lunkit_handler),
    .abi_version = LUNKIT_ABI_VERSION,
    .name = "bad_no_read",
    .open = disk_open,
    .close = disk_close,
    .read_blocking = NULL,
};

const struct lunkit_handler *lunkit_handler_entry(const struct lunkit_host *host) {
    (void)host;
    return &handler;
}
