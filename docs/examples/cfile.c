/* SPDX-License-Identifier: Apache-2.0 */
/* A file as a disk, in C, asynchronous: each request becomes a call of the host's, which completes
 * what the runner gave us. Nothing here waits, and no byte of data is touched. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lunkit/handler.h>

struct disk {
    const struct lunkit_host *host;
    struct lunkit_file *file;
};

/* The sentence is all that a user of targetcli sees. */
static int refuse(char *error, size_t size, int code, const char *sentence) {
    if (error != NULL && size > 0) {
        snprintf(error, size, "%s", sentence);
    }
    return -code;
}

static int check_config(const struct lunkit_check *check) {
    struct lunkit_file_open request = {.struct_size = sizeof request,
                                       .flags = LUNKIT_FILE_READ_ONLY | LUNKIT_FILE_NO_LOCK,
                                       .path = check->config,
                                       .error = check->error,
                                       .error_size = check->error_size};
    struct lunkit_file *file;
    int code;
    if (check->config[0] == '\0') {
        return refuse(check->error, check->error_size, EINVAL, "a file needs a path");
    }
    if (strchr(check->config, ';') != NULL) {
        return refuse(check->error, check->error_size, EINVAL, "cfile knows no keys");
    }
    if ((check->flags & LUNKIT_CHECK_SYNTAX_ONLY) != 0) {
        return 0;
    }
    code = check->host->file_open(&request, &file);
    if (code == 0) {
        check->host->file_close(file);
    }
    return code == -ENOENT ? 0 : code; /* open() makes it */
}

static int disk_open(const struct lunkit_open *request, void **device) {
    const int read_only = (request->flags & LUNKIT_OPEN_READ_ONLY) != 0;
    /* One that has to be there already is not made anew. */
    const int may_create =
        !read_only && request->size != 0 && (request->flags & LUNKIT_OPEN_TAKE_OVER) == 0;
    struct lunkit_file_open wanted = {.struct_size = sizeof wanted,
                                      .flags = (read_only ? LUNKIT_FILE_READ_ONLY : 0u) |
                                               (may_create ? LUNKIT_FILE_CREATE : 0u),
                                      .path = request->config,
                                      .size = request->size,
                                      .error = request->error,
                                      .error_size = request->error_size};
    struct lunkit_file_info info = {.struct_size = sizeof info};
    struct disk *disk = calloc(1, sizeof *disk);
    int code;
    if (disk == NULL) {
        return -ENOMEM;
    }
    disk->host = request->host;
    code = disk->host->file_open(&wanted, &disk->file);
    if (code != 0) {
        free(disk);
        return code;
    }
    code = disk->host->file_info(disk->file, &info);
    if (code != 0) {
        disk->host->file_close(disk->file);
        free(disk);
        return code;
    }
    request->info->size = info.size;
    request->info->flags = LUNKIT_DEVICE_WRITE_CACHE | LUNKIT_DEVICE_PARALLEL;
    request->info->discard_granularity = info.discard_granularity;
    if (info.discard_granularity == 0) {
        request->info->flags |= LUNKIT_DEVICE_NO_DISCARD;
    } else if (!info.is_block_device) {
        request->info->flags |= LUNKIT_DEVICE_THIN | LUNKIT_DEVICE_DISCARD_ZEROES;
    }
    *device = disk;
    return 0;
}

static void disk_close(void *device) {
    struct disk *disk = device;
    disk->host->file_close(disk->file);
    free(disk);
}

static int disk_read(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                     struct lunkit_completion *completion) {
    struct disk *disk = device;
    return disk->host->file_read(queue, disk->file, io->offset, io->data, io->data_offset,
                                 io->length, completion);
}

static int disk_write(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                      struct lunkit_completion *completion) {
    struct disk *disk = device;
    return disk->host->file_write(queue, disk->file, io->offset, io->data, io->data_offset,
                                  io->length, io->flags & LUNKIT_IO_FUA, completion);
}

/* The host latches the first error: what was lost once is never said to be safe. */
static int disk_flush(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                      struct lunkit_completion *completion) {
    struct disk *disk = device;
    (void)io;
    return disk->host->file_flush(queue, disk->file, completion);
}

static int disk_discard(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                        struct lunkit_completion *completion) {
    struct disk *disk = device;
    if ((io->flags & LUNKIT_IO_ANCHOR) != 0) {
        return -EOPNOTSUPP; /* would keep the space: a hint that we do not take */
    }
    if ((io->flags & LUNKIT_IO_FUA) != 0) {
        return -EOPNOTSUPP; /* durable at once: a hole is not */
    }
    return disk->host->file_discard(queue, disk->file, io->offset, io->length, completion);
}

static int disk_write_zeroes(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                             struct lunkit_completion *completion) {
    struct disk *disk = device;
    uint32_t flags = 0;
    if ((io->flags & LUNKIT_IO_FUA) != 0) {
        return -EOPNOTSUPP; /* the runner writes zeros, with FUA */
    }
    if ((io->flags & LUNKIT_IO_MAY_UNMAP) != 0) {
        flags |= LUNKIT_ZERO_MAY_UNMAP;
    }
    if ((io->flags & LUNKIT_IO_NO_FALLBACK) != 0) {
        flags |= LUNKIT_ZERO_NO_FALLBACK;
    }
    return disk->host->file_zero(queue, disk->file, io->offset, io->length, flags, completion);
}

static int disk_extents(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                        struct lunkit_extent_list *list, struct lunkit_completion *completion) {
    struct disk *disk = device;
    return disk->host->file_extents(queue, disk->file, io->offset, io->length, list, completion);
}

static const struct lunkit_handler handler = {
    .struct_size = sizeof(struct lunkit_handler),
    .abi_version = LUNKIT_ABI_VERSION,
    .name = "cfile",
    .description = "a file as a disk, in C",
    .config_help = "<path>",
    .check_config = check_config,
    .open = disk_open,
    .close = disk_close,
    .read = disk_read,
    .write = disk_write,
    .flush = disk_flush,
    .discard = disk_discard,
    .write_zeroes = disk_write_zeroes,
    .extents = disk_extents,
};

const struct lunkit_handler *lunkit_handler_entry(const struct lunkit_host *host) {
    (void)host; /* open() brings it as well */
    return &handler;
}
