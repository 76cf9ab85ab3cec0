// SPDX-License-Identifier: Apache-2.0
// Where a regular file has data: lseek(2) SEEK_DATA and SEEK_HOLE. Unwritten extents count as
// holes, unless they are dirty in the page cache. Block devices have no such thing. A worker asks,
// in memory as well: the end of a run is found there by a walk over its pages.
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "host/local_file.hpp"

namespace lunkit::host {

int LocalFile::extents(core::EngineQueue& queue, std::uint64_t offset, std::uint64_t length,
                       lunkit_extent_list& list, lunkit_completion* completion) {
    if (length == 0 || list.capacity == 0 || !ByteRange::fits(offset, length, INT64_MAX)) {
        return -EINVAL;
    }
    if (file_.is_block_device) {
        return -EOPNOTSUPP;
    }
    return run_extents(*this, queue, {offset, length}, list, completion).settle(completion);
}

Request LocalFile::run_extents(LocalFile& self, core::EngineQueue& queue, ByteRange range,
                               lunkit_extent_list& list, lunkit_completion* completion) {
    const Outcome outcome = co_await queue.offload(self.lane(), [&]() -> std::int64_t {
        return self.extents_blocking(range.offset, range.length, list);
    });
    completion->result = outcome.result;
    co_return static_cast<int>(std::min<std::int64_t>(outcome.result, LUNKIT_DONE));
}

int LocalFile::extents_blocking(std::uint64_t offset, std::uint64_t length,
                                lunkit_extent_list& list) {
    const std::uint64_t end = offset + length;
    const std::uint32_t most = std::min(list.capacity, kExtentsPerCall);
    list.count = 0;
    while (offset < end && list.count < most) {
        std::uint64_t until = end;
        std::uint32_t flags = LUNKIT_EXTENT_HOLE | LUNKIT_EXTENT_ZERO;
        std::int64_t found = calls_.seek(file_.fd.get(), offset, SEEK_DATA);
        if (found >= 0 && static_cast<std::uint64_t>(found) == offset) {
            flags = 0;
            found = calls_.seek(file_.fd.get(), offset, SEEK_HOLE);
        }
        if (found >= 0) {
            until = std::min(end, static_cast<std::uint64_t>(found));
        } else if (found != -ENXIO) {  // ENXIO: no data from here on
            return found == -EINVAL ? -EOPNOTSUPP : static_cast<int>(found);
        }
        if (until <= offset) {
            return -EIO;  // a file system that contradicts itself; never loop
        }
        list.extents[list.count++] = {until - offset, flags, 0};
        offset = until;
    }
    return LUNKIT_DONE;
}

}  // namespace lunkit::host
