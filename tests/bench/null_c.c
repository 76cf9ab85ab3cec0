/* SPDX-License-Identifier: Apache-2.0 */
/* The handler `null` with plain callbacks: what its coroutines cost is the difference. */
#include <errno.h>
#include <stddef.h>

#include "lunkit/handler.h"

static const struct lunkit_host *host_table;
static const char zeroes[65536];

static int disk_open(const struct lunkit_open *request, void **device) {
    host_table = request->host;
    request->info->size = request->size;
    *device = (void *)&host_table;
    return 0;
}

static void disk_close(void *device) { (void)device; }

static int disk_read(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                     struct lunkit_completion *completion) {
    (void)device, (void)queue;
    for (uint64_t done = 0; done < io->length;) {
        uint64_t piece = io->length - done < sizeof zeroes ? io->length - done : sizeof zeroes;
        int error = host_table->copy_to(io->data, io->data_offset + done, zeroes, piece);
        if (error < 0) {
            completion->result = error;
            return error;
        }
        done += piece;
    }
    completion->result = (int64_t)io->length;
    return LUNKIT_DONE;
}

static int disk_write(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                      struct lunkit_completion *completion) {
    (void)device, (void)queue;
    completion->result = (int64_t)io->length;
    return LUNKIT_DONE;
}

static const struct lunkit_handler handler = {
    .struct_size = sizeof(struct lunkit_handler),
    .abi_version = LUNKIT_ABI_VERSION,
    .name = "null-c",
    .description = "nothing, without coroutines",
    .open = disk_open,
    .close = disk_close,
    .read = disk_read,
    .write = disk_write,
};

const struct lunkit_handler *lunkit_handler_entry(const struct lunkit_host *host) {
    (void)host;
    return &handler;
}
