/* SPDX-License-Identifier: Apache-2.0 */
/* Built from version 1 of the header: asynchronous callbacks that are done at once or, for writes,
 * by a worker. Never rebuilt against a newer header. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "handler.h"

static const struct lunkit_host *host;

struct disk {
    uint64_t size;
    char *bytes;
};

static int disk_open(const struct lunkit_open *request, void **device) {
    if (strcmp(request->config, "refuse") == 0) {
        strncpy(request->error, "the old plugin was asked to refuse", request->error_size - 1);
        return -ENXIO;
    }
    struct disk *disk = malloc(sizeof *disk);
    if (disk == NULL) {
        return -ENOMEM;
    }
    disk->size = request->size;
    disk->bytes = calloc(1, request->size);
    request->info->size = request->size;
    request->info->flags = LUNKIT_DEVICE_PARALLEL;
    *device = disk;
    host->log(request->host_device, LUNKIT_LOG_DEBUG, "open");
    return disk->bytes != NULL ? 0 : -ENOMEM;
}

static void disk_close(void *device) {
    struct disk *disk = device;
    free(disk->bytes);
    free(disk);
}

static int disk_read(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                     struct lunkit_completion *completion) {
    struct disk *disk = device;
    (void)queue;
    (void)completion;
    return host->copy_to(io->data, io->data_offset, disk->bytes + io->offset, io->length);
}

static int64_t nothing(void *argument) {
    (void)argument;
    return 0;
}

static int disk_write(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                      struct lunkit_completion *completion) {
    struct disk *disk = device;
    int status = host->copy_from(io->data, io->data_offset, disk->bytes + io->offset, io->length);
    return status < 0 ? status : host->offload(queue, disk, nothing, NULL, completion);
}

static const struct lunkit_handler handler = {
    .struct_size = sizeof(struct lunkit_handler),
    .abi_version = LUNKIT_ABI_VERSION,
    .name = "old_async",
    .description = "asynchronous, from version 1",
    .config_help = "anything",
    .open = disk_open,
    .close = disk_close,
    .read = disk_read,
    .write = disk_write,
};

const struct lunkit_handler *lunkit_handler_entry(const struct lunkit_host *table) {
    host = table;
    return &handler;
}
