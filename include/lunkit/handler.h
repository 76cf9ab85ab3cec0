/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lunkit/handler.h - the contract between handler plugins and the runner (a C ABI).
 *
 * A handler is a shared object `handler_<name>.so` that exports one function, lunkit_handler_entry().
 * It returns a static table of callbacks. The runner in turn hands the plugin a table of host calls.
 * Both tables begin with their size and version, and fields are only ever appended: a plugin built
 * against an older or a newer header works with this runner, as long as it looks at struct_size
 * before it uses a field that it does not know to be there. A callback that is NULL means "not
 * supported": the runner emulates it where that is possible and else reports the feature absent.
 *
 * Life of a device:   entry -> [load] -> { check_config | open -> requests ... -> close }* -> [unload]
 * One plugin serves many devices at once; all state of a device hangs on the handle from open().
 *
 * Threads. load, check_config, inspect, open, close, resize and set_write_cache are called on a worker
 * thread and may block. Asynchronous request callbacks (read, write, ...) are called on the thread of the
 * device's queue and must not block. Blocking callbacks (read_blocking, ...) are called on worker
 * threads, one at a time for a device unless LUNKIT_HANDLER_PARALLEL is set. Requests run between
 * open and close only; close is called when all have completed.
 *
 * Asynchronous calls, in both directions, return one of
 *   LUNKIT_DONE     finished inline: completion->result is set, completion->done is NOT called;
 *   LUNKIT_PENDING  completion->done will be called later, once, on the thread of the queue, and
 *                   never from inside the call itself;
 *   -errno          finished inline with this error (the same as LUNKIT_DONE with result = -errno).
 * Until then the completion and everything that the call was given stay valid and belong to it.
 *
 * The runner checks bounds, alignment and read-only before a plugin sees a request; requests that
 * overlap may run at the same time and in any order.
 */
#ifndef LUNKIT_HANDLER_H
#define LUNKIT_HANDLER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LUNKIT_ABI_VERSION 1u

#define LUNKIT_DONE 0
#define LUNKIT_PENDING 1

/* Offset of an error that has no position. */
#define LUNKIT_NO_OFFSET UINT64_MAX

/* What kind of thing failed; decides the sense data an initiator gets where errno is ambiguous. */
enum lunkit_error_class {
    LUNKIT_ERROR_UNSPECIFIED = 0,
    LUNKIT_ERROR_MEDIUM = 1,    /* the stored data cannot be read or written */
    LUNKIT_ERROR_INTERNAL = 2,  /* the handler's own state is damaged (metadata, a bug) */
    LUNKIT_ERROR_TRANSPORT = 3, /* the way to the storage failed; another path may work */
    /* A rule of zoned devices (ZBC-2); the errno says which:
     *   EINVAL        a write that does not begin at the zone's write pointer
     *   EFBIG         a write of blocks that are not all in one sequential write required zone
     *   EXDEV         a read over zones of two types
     *   ETOOMANYREFS  no more zones can be open
     *   EPERM         this zone, as it is, does not take this */
    LUNKIT_ERROR_ZONE = 4,
};

/* One asynchronous operation in flight. Owned by whoever started it. */
struct lunkit_completion {
    void (*done)(struct lunkit_completion *completion);
    int64_t result;        /* >= 0: bytes done (0 where there are none to count); < 0: -errno */
    uint64_t error_offset; /* with an error: first bad byte, or first byte that differs
                              (compare_and_write), counted from the start of the request;
                              or LUNKIT_NO_OFFSET */
    uint32_t error_class;  /* enum lunkit_error_class */
    uint32_t reserved32;
    uint64_t reserved[2];  /* the callee's while the operation is pending; need not be set */
};

/* Where the bytes of a request are. Of kinds other than LUNKIT_DATA_IOV only the runner knows the
 * content; use host->copy_from / copy_to / map. A plugin may make data of its own, kind
 * LUNKIT_DATA_IOV, to move its own memory with host->file_read and file_write. */
enum lunkit_data_kind {
    LUNKIT_DATA_IOV = 0,
    LUNKIT_DATA_HOST = 1, /* reachable by host calls only (e.g. ublk USER_COPY, registered buffer) */
};
struct lunkit_data {
    uint32_t kind;      /* enum lunkit_data_kind */
    uint32_t iov_count; /* kind IOV: entries of iov */
    const struct iovec *iov;
    uint64_t length;    /* bytes in all */
    uint64_t reserved[2];
};

/* Flags of a request. */
#define LUNKIT_IO_FUA (1u << 0)         /* durable before it completes (write, write_zeroes, discard) */
#define LUNKIT_IO_MAY_UNMAP (1u << 1)   /* write_zeroes: the range may be deallocated */
#define LUNKIT_IO_ANCHOR (1u << 2)      /* discard: keep the space reserved (SBC: anchored) */
#define LUNKIT_IO_DPO (1u << 3)         /* a hint: the data will not be used again soon */
#define LUNKIT_IO_NO_FALLBACK (1u << 4) /* write_zeroes: -EOPNOTSUPP rather than writing zeros slowly */
#define LUNKIT_IO_REPLAY (1u << 5)      /* re-executed after a take-over; may have been done before */
#define LUNKIT_IO_ATOMIC (1u << 6)      /* write: all of it or nothing, see max_atomic_write */
#define LUNKIT_IO_ALL_ZONES (1u << 7)   /* open_zones and its like: those that can, of all zones */

/* A request. offset and length are bytes of the device, multiples of its block size. */
struct lunkit_io {
    uint32_t struct_size;
    uint32_t flags; /* LUNKIT_IO_* */
    uint64_t offset;
    uint64_t length;
    const struct lunkit_data *data; /* NULL for flush, discard, write_zeroes, extents */
    uint64_t data_offset;           /* the request's bytes begin here in data */
    uint64_t tag;                   /* the front end's name for the command, for logs and traces */
    /* compare_and_write: NULL, or a word of the request that outlives the process; 0 at first. Set
       it to 1 (a plain store) between a comparison that succeeded and the writing. If it is 1 when
       the call comes (then with LUNKIT_IO_REPLAY), write without comparing: it was done.
       write, write_zeroes and the zone operations of a zoned device have it as well; there the low
       16 bits are the handler's: it leaves the others 0, and finds what it left when repeated. */
    uint64_t *progress;
    uint64_t reserved[1];
};

/* A run of bytes in the same state of allocation. */
#define LUNKIT_EXTENT_HOLE (1u << 0)     /* takes no space */
#define LUNKIT_EXTENT_ZERO (1u << 1)     /* reads as zeros */
struct lunkit_extent {
    uint64_t length;
    uint32_t flags; /* LUNKIT_EXTENT_*; 0 = allocated data */
    uint32_t reserved32;
};
struct lunkit_extent_list {
    struct lunkit_extent *extents; /* room for `capacity`, consecutive from io->offset */
    uint32_t capacity;
    uint32_t count;                /* out; at least 1 on success. May end before io->offset +
                                      io->length: the caller resumes behind the last one. */
};

/* A zone; the numbers of types and conditions are those of ZBC-2 REPORT ZONES. Bytes. */
#define LUNKIT_ZONE_CONVENTIONAL 1u
#define LUNKIT_ZONE_SEQUENTIAL_WRITE_REQUIRED 2u
#define LUNKIT_ZONE_NOT_WRITE_POINTER 0x0u
#define LUNKIT_ZONE_EMPTY 0x1u
#define LUNKIT_ZONE_IMPLICITLY_OPENED 0x2u
#define LUNKIT_ZONE_EXPLICITLY_OPENED 0x3u
#define LUNKIT_ZONE_CLOSED 0x4u
#define LUNKIT_ZONE_FULL 0xeu
struct lunkit_zone {
    uint64_t start;
    uint64_t length;
    uint64_t write_pointer; /* where the next write begins; conventional and full zones have none */
    uint32_t type;
    uint32_t condition;
    uint64_t reserved[2];
};
struct lunkit_zone_list {
    struct lunkit_zone *zones; /* room for `capacity`, consecutive from the one of io->offset */
    uint32_t capacity;
    uint32_t count;            /* out; at least 1 on success. May end before io->offset +
                                  io->length: the caller resumes behind the last one. */
};

/* How much room the storage below a device has. */
#define LUNKIT_SPACE_SHARED (1u << 0) /* others take of `available` as well */
struct lunkit_space {
    uint32_t struct_size;
    uint32_t flags;     /* LUNKIT_SPACE_* */
    uint64_t used;      /* bytes that the device's blocks take */
    uint64_t available; /* bytes that they can take more, before a write ends with -ENOSPC */
    uint64_t reserved[3];
};

struct lunkit_queue; /* one thread with its event loop; the runner's */
struct lunkit_file;  /* an open backing file or block device; the runner's */

/* Flags of a file. */
#define LUNKIT_FILE_READ_ONLY (1u << 0)
#define LUNKIT_FILE_DIRECT (1u << 1)        /* O_DIRECT; requests that do not fit are bounced */
#define LUNKIT_FILE_CREATE (1u << 2)        /* create a missing regular file, sparse, of `size` */
#define LUNKIT_FILE_CONFINED (1u << 3)      /* path comes from inside an image: resolved beneath
                                               `base`, symlinks refused */
#define LUNKIT_FILE_SHARE_WRITE (1u << 4)   /* do not refuse other writers (locks) */
#define LUNKIT_FILE_NO_LOCK (1u << 5)

struct lunkit_file_open {
    uint32_t struct_size;
    uint32_t flags;   /* LUNKIT_FILE_* */
    const char *path;
    const char *base; /* folder for LUNKIT_FILE_CONFINED, else NULL */
    uint64_t size;    /* LUNKIT_FILE_CREATE: bytes */
    char *error;      /* room for a sentence a person reads */
    size_t error_size;
    uint64_t reserved[4];
};

/* What the runner knows of an open file. */
struct lunkit_file_info {
    uint32_t struct_size;
    uint32_t is_block_device;
    uint32_t is_rotational;
    uint32_t read_only;             /* opened so, or the device is */
    uint64_t size;                  /* bytes, now */
    uint32_t logical_block_size;    /* smallest unit of I/O (direct: the DIO alignment), else 1 */
    uint32_t physical_block_size;
    uint32_t optimal_io_size;       /* 0 = unknown */
    uint32_t discard_granularity;   /* 0 = no discard */
    int32_t fd;                     /* for calls the host lacks; stays the host's. What is written
                                       through it, file_flush does not know of: sync it yourself */
    uint32_t was_created;           /* LUNKIT_FILE_CREATE made it now */
    uint64_t reserved[4];
};

/* How file_zero shall make zeros; see the ladder in docs/handlers.md. */
#define LUNKIT_ZERO_MAY_UNMAP (1u << 0)
#define LUNKIT_ZERO_NO_FALLBACK (1u << 1)

enum lunkit_log_level {
    LUNKIT_LOG_ERROR = 3, /* syslog(3)'s numbers */
    LUNKIT_LOG_WARNING = 4,
    LUNKIT_LOG_NOTICE = 5,
    LUNKIT_LOG_INFO = 6,
    LUNKIT_LOG_DEBUG = 7,
};

/* What the runner offers to plugins. Calls with a queue are made on that queue's thread. */
struct lunkit_host {
    uint32_t struct_size;
    uint32_t abi_version;

    /* Any thread. `device` is host_device of struct lunkit_open, or NULL. */
    void (*log)(void *device, int level, const char *message);

    /* Request data. offset + length must lie within data->length. -errno or 0. */
    int (*copy_from)(const struct lunkit_data *data, uint64_t offset, void *to, uint64_t length);
    int (*copy_to)(const struct lunkit_data *data, uint64_t offset, const void *from,
                   uint64_t length);
    /* The same bytes as iovecs, without a copy: fills at most `capacity`, returns how many, or
     * -EOPNOTSUPP where the data is in no memory of this process, -E2BIG. */
    int (*map)(const struct lunkit_data *data, uint64_t offset, uint64_t length, struct iovec *iov,
               uint32_t capacity);

    /* Files. open and close block (worker thread); close waits for nothing: requests have ended. */
    int (*file_open)(const struct lunkit_file_open *request, struct lunkit_file **file);
    void (*file_close)(struct lunkit_file *file);
    int (*file_info)(struct lunkit_file *file, struct lunkit_file_info *info);
    /* Asynchronous. Transfers are complete or failed, never short: reading past the end of a file
     * (someone truncated it) is -EIO with error_offset at the first byte that is not there. */
    int (*file_read)(struct lunkit_queue *queue, struct lunkit_file *file, uint64_t offset,
                     const struct lunkit_data *data, uint64_t data_offset, uint64_t length,
                     struct lunkit_completion *completion);
    /* flags: LUNKIT_IO_FUA = durable (RWF_DSYNC). */
    int (*file_write)(struct lunkit_queue *queue, struct lunkit_file *file, uint64_t offset,
                      const struct lunkit_data *data, uint64_t data_offset, uint64_t length,
                      uint32_t flags, struct lunkit_completion *completion);
    /* fdatasync. The first failure is latched: every later flush of this file fails as well. */
    int (*file_flush)(struct lunkit_queue *queue, struct lunkit_file *file,
                      struct lunkit_completion *completion);
    /* Deallocate (reads as zeros afterwards on regular files; on block devices unspecified). */
    int (*file_discard)(struct lunkit_queue *queue, struct lunkit_file *file, uint64_t offset,
                        uint64_t length, struct lunkit_completion *completion);
    int (*file_zero)(struct lunkit_queue *queue, struct lunkit_file *file, uint64_t offset,
                     uint64_t length, uint32_t flags, struct lunkit_completion *completion);
    int (*file_extents)(struct lunkit_queue *queue, struct lunkit_file *file, uint64_t offset,
                        uint64_t length, struct lunkit_extent_list *list,
                        struct lunkit_completion *completion);
    /* Blocking (worker thread): ftruncate; block devices: -EOPNOTSUPP unless it already fits. */
    int (*file_resize)(struct lunkit_file *file, uint64_t size);

    /* Runs function(argument) on a worker thread; its return becomes completion->result. `lane`
     * groups work that may wait for the same thing (NULL: the queue's own): a bounded number of a
     * lane's calls run at once, so that one stuck device cannot use up the workers. */
    int (*offload)(struct lunkit_queue *queue, const void *lane, int64_t (*function)(void *),
                   void *argument, struct lunkit_completion *completion);
    /* Completes after `nanoseconds` with 0, or with -ECANCELED. */
    int (*timer)(struct lunkit_queue *queue, uint64_t nanoseconds,
                 struct lunkit_completion *completion);
    /* Completes with the poll(2) events that are there, once. */
    int (*poll)(struct lunkit_queue *queue, int fd, uint32_t events,
                struct lunkit_completion *completion);
    /* Ends a timer or a poll early, with -ECANCELED; it still completes, once. */
    void (*cancel)(struct lunkit_queue *queue, struct lunkit_completion *completion);
    /* Any thread: completion->done will be called on the queue's thread. */
    void (*post)(struct lunkit_queue *queue, struct lunkit_completion *completion);

    /* Memory for I/O, aligned to a page. NULL when there is none. Any thread. */
    void *(*allocate)(uint64_t size);
    void (*release)(void *memory, uint64_t size);

    /* Any thread, after open() has returned: the storage now has another size. The runner serves
     * so many whole blocks from now on and tells the front end. */
    void (*size_changed)(void *host_device, uint64_t size);
    /* Any thread: 1 when the daemon stops and a successor will open this device with
     * LUNKIT_OPEN_TAKE_OVER: close() then keeps what only lives as long as the device. */
    int (*handing_over)(void *host_device);

    void (*reserved[7])(void);
};

/* What a device is, told by open() and after a resize. */
#define LUNKIT_DEVICE_READ_ONLY (1u << 0)
#define LUNKIT_DEVICE_WRITE_CACHE (1u << 1) /* completed writes may be lost until flush */
#define LUNKIT_DEVICE_ROTATIONAL (1u << 2)
#define LUNKIT_DEVICE_PARALLEL (1u << 3)    /* requests may come from several queues at once */
#define LUNKIT_DEVICE_THIN (1u << 4)        /* space is allocated when written (discard gives back) */
#define LUNKIT_DEVICE_DISCARD_ZEROES (1u << 5) /* discarded blocks read as zeros */
#define LUNKIT_DEVICE_NO_DISCARD (1u << 6)  /* this device cannot, though the handler has discard */
#define LUNKIT_DEVICE_NO_EXTENTS (1u << 7)  /* the same for extents */
#define LUNKIT_DEVICE_NO_SPACE (1u << 8)    /* the same for space */

/* What a device is to SCSI: its PERIPHERAL DEVICE TYPE (SPC-5 6.7.2). */
#define LUNKIT_DEVICE_TYPE_BLOCK 0x00u  /* direct access block device */
#define LUNKIT_DEVICE_TYPE_CD_DVD 0x05u /* read only, blocks of 2048 bytes (MMC-6) */
#define LUNKIT_DEVICE_TYPE_ZONED 0x14u  /* host managed zoned block device (ZBC-2) */

struct lunkit_device_info {
    uint32_t struct_size;
    uint32_t flags; /* LUNKIT_DEVICE_* */
    uint64_t size;  /* bytes */
    uint32_t min_block_size;      /* smallest logical block served; 0 = 512 */
    uint32_t physical_block_size; /* 0 = the logical block */
    uint32_t optimal_io_size;     /* bytes, 0 = unknown */
    uint32_t discard_granularity; /* bytes, 0 = the logical block */
    uint64_t max_transfer;        /* bytes of one read or write, 0 = any */
    uint64_t max_discard;         /* bytes, 0 = any */
    uint64_t max_write_zeroes;    /* bytes, 0 = any */
    /* Bytes of one write with LUNKIT_IO_ATOMIC, at any block; 0 = no such write. When it fails, and
     * after a loss of power, either all of it is stored or nothing. The runner sees to the rest: no
     * other request runs on its blocks meanwhile, and if the daemon dies, its successor repeats it.
     * Not for a handler whose write is blocking. */
    uint64_t max_atomic_write;
    uint32_t device_type; /* LUNKIT_DEVICE_TYPE_* */
    uint32_t max_open_zones; /* zoned: how many can be open at a time, 0 = any number */
    uint64_t zone_size;      /* zoned: bytes, a power of two; the last zone may be smaller */
    uint64_t reserved[5];
};

#define LUNKIT_OPEN_READ_ONLY (1u << 0)
#define LUNKIT_OPEN_TAKE_OVER (1u << 1) /* a predecessor died: its state may be stale, its I/O alive */

struct lunkit_open {
    uint32_t struct_size;
    uint32_t flags;     /* LUNKIT_OPEN_* */
    const char *config; /* what follows "<handler>/" */
    const char *name;   /* the device, for messages */
    uint64_t size;      /* bytes the front end wants; 0 = as large as the storage is */
    uint32_t block_size; /* logical block of the front end */
    uint32_t reserved32;
    const struct lunkit_host *host;
    void *host_device;  /* for host calls */
    struct lunkit_device_info *info; /* out; struct_size is set by the runner */
    char *error;        /* out on failure: one sentence a person reads */
    size_t error_size;
    uint64_t reserved[4];
};

struct lunkit_check {
    uint32_t struct_size;
    uint32_t flags; /* LUNKIT_CHECK_* */
    const char *config;
    const struct lunkit_host *host;
    char *error;
    size_t error_size;
    uint64_t reserved[4];
};
#define LUNKIT_CHECK_SYNTAX_ONLY (1u << 0) /* the caller may not learn about files */

/* Something about storage, for a person or a script. */
enum lunkit_fact_kind {
    LUNKIT_FACT_TEXT = 0,
    LUNKIT_FACT_NUMBER = 1,
    LUNKIT_FACT_FLAG = 2, /* number: 0 or 1 */
    LUNKIT_FACT_ITEM = 3, /* text: one more of the list that is called `key` */
};
struct lunkit_fact {
    const char *key;  /* lower case, '_' between words; bytes where no unit is named */
    const char *text; /* any bytes: names come from inside an image */
    uint64_t number;
    uint32_t kind;    /* enum lunkit_fact_kind */
    uint32_t reserved32;
    uint64_t reserved[2];
};

#define LUNKIT_INSPECT_VERIFY (1u << 0)       /* read all metadata, tell what is damaged */
#define LUNKIT_INSPECT_REPAIR_LEAKS (1u << 1) /* with VERIFY: free the space that nobody uses */

struct lunkit_inspect {
    uint32_t struct_size;
    uint32_t flags;     /* LUNKIT_INSPECT_* */
    const char *config; /* what follows "<handler>/" */
    const struct lunkit_host *host;
    struct lunkit_queue *queue; /* another thread's; host->post() brings work there */
    /* Called for each fact, on the caller's thread; nothing of it is kept. */
    void (*tell)(void *context, const struct lunkit_fact *fact);
    void *context;
    char *error;
    size_t error_size;
    uint64_t reserved[4];
};

#define LUNKIT_HANDLER_PARALLEL (1u << 0) /* blocking callbacks may run at once for one device */

struct lunkit_handler {
    uint32_t struct_size;
    uint32_t abi_version;    /* LUNKIT_ABI_VERSION of the header it was built with */
    const char *name;        /* the subtype: letters, digits, '_' and '-' */
    const char *description; /* one line */
    const char *config_help; /* what follows "<name>/": keys, defaults; shown by targetcli */
    uint32_t flags;          /* LUNKIT_HANDLER_* */
    uint32_t reserved32;

    int (*load)(const struct lunkit_host *host); /* 0 or -errno */
    void (*unload)(void);
    /* 0, or -errno and a sentence. Really validates: opens what open() would open. */
    int (*check_config)(const struct lunkit_check *check);
    int (*open)(const struct lunkit_open *request, void **device);
    void (*close)(void *device);

    /* Asynchronous style. A handler has read, or read_blocking. */
    int (*read)(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                struct lunkit_completion *completion);
    int (*write)(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                 struct lunkit_completion *completion);
    int (*flush)(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                 struct lunkit_completion *completion);
    int (*discard)(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                   struct lunkit_completion *completion);
    int (*write_zeroes)(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                        struct lunkit_completion *completion);
    /* data holds io->length bytes to compare with, then io->length bytes to write; atomic against
     * every other request. -EILSEQ and error_offset when they differ. */
    int (*compare_and_write)(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                             struct lunkit_completion *completion);
    int (*extents)(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                   struct lunkit_extent_list *list, struct lunkit_completion *completion);
    /* Asks that a pending request, named by its completion, end soon; it still completes, once.
     * Reserved: this runner never calls it. */
    void (*cancel)(void *device, struct lunkit_queue *queue, struct lunkit_completion *completion);

    /* Blocking style, for handlers that can do no other. 0 or -errno; whole transfers only. */
    int (*read_blocking)(void *device, void *buffer, uint64_t length, uint64_t offset,
                         uint32_t flags);
    int (*write_blocking)(void *device, const void *buffer, uint64_t length, uint64_t offset,
                          uint32_t flags);
    int (*flush_blocking)(void *device);
    int (*discard_blocking)(void *device, uint64_t length, uint64_t offset, uint32_t flags);
    int (*write_zeroes_blocking)(void *device, uint64_t length, uint64_t offset, uint32_t flags);

    /* Changes of a live device; worker thread, may block; requests go on meanwhile. NULL: refused
     * unless nothing changes. resize fills info anew; when the device shrinks, it is called when no
     * request behind the new end runs any more. set_write_cache is reserved: this runner never calls
     * it, and makes writes durable itself (LUNKIT_IO_FUA, flush) while the cache is off. */
    int (*resize)(void *device, uint64_t size, struct lunkit_device_info *info, char *error,
                  size_t error_size);
    int (*set_write_cache)(void *device, int enabled, char *error, size_t error_size);

    /* Of a zoned device, which has all of them and gets its requests on one queue. It sees to the
     * rules: it ends what breaks one with LUNKIT_ERROR_ZONE, and its writes of one zone run in the
     * order of their calls. The operations are ZBC-2's OPEN, CLOSE and FINISH ZONE and RESET WRITE
     * POINTER, on the whole zones of io's range (EPERM: not all of them have a write pointer). It
     * has read, write and write_zeroes as well, and its changes are not split: a write that is
     * longer than max_transfer, or zeros than max_write_zeroes, never comes. */
    int (*report_zones)(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                        struct lunkit_zone_list *list, struct lunkit_completion *completion);
    int (*open_zones)(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                      struct lunkit_completion *completion);
    int (*close_zones)(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                       struct lunkit_completion *completion);
    int (*finish_zones)(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                        struct lunkit_completion *completion);
    int (*reset_zones)(void *device, struct lunkit_queue *queue, const struct lunkit_io *io,
                       struct lunkit_completion *completion);
    void (*reserved_for_zones)(void); /* append */

    /* Fills `space`, whose struct_size is set. Asked now and then while the device is written to,
     * and for what initiators ask: not for each request. */
    int (*space)(void *device, struct lunkit_queue *queue, struct lunkit_space *space,
                 struct lunkit_completion *completion);

    /* What there is to know about the storage of a configuration, without making a device of it.
     * Worker thread, may block for as long as reading all metadata takes. Without flags it reads
     * little, locks nothing and changes nothing. 0, or -errno and a sentence: it could not be
     * looked at. Damage that was found is a fact, "damage", and no error. */
    int (*inspect)(const struct lunkit_inspect *inspect);
    void (*reserved[6])(void);
};

/* The one exported function. `host` stays valid until unload. NULL: the plugin cannot work here. */
__attribute__((visibility("default"))) const struct lunkit_handler *
lunkit_handler_entry(const struct lunkit_host *host);

#ifdef __cplusplus
}
#endif
#endif
