// SPDX-License-Identifier: Apache-2.0
#include "ram_memory.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include "lunkit/try.hpp"

namespace lunkit::ram {

namespace {

const std::array<std::byte, kChunkSize> kZeros{};
/// Chunks that one call of extents() looks at: it must not keep the queue's thread.
constexpr std::uint64_t kMostLookups = 4096;
/// Bytes of one ftruncate: for so long it keeps off whoever takes or gives back space.
constexpr std::uint64_t kCutStep = 64U << 20U;

std::uint64_t chunks_of(std::uint64_t size) {
    return size / kChunkSize + (size % kChunkSize != 0 ? 1 : 0);
}

std::string reason(int error) {
    return std::generic_category().message(error);
}

std::string object_name(const std::string& name) {
    return "/lunkit-ram-" + name;
}

/// Locks the whole object for this description: one RAM disk, one server. 0 or errno.
int try_lock(int fd) {
    struct flock range{};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    return ::fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : errno;
}

/// Others can write to the folder of shared memory: the object must be ours and ours only.
Status check_ours(int fd, const std::string& object, bool* still_named) {
    struct stat status{};
    struct stat named{};
    if (::fstat(fd, &status) != 0) {
        const int error = errno;
        return failure(error, object + ": " + reason(error));
    }
    if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() ||
        (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return failure(EPERM, "the shared memory " + object + " belongs to somebody else");
    }
    // A predecessor may have removed the name after we opened it.
    *still_named = ::stat(("/dev/shm" + object).c_str(), &named) == 0 &&
                   named.st_ino == status.st_ino && named.st_dev == status.st_dev;
    return {};
}

/// The object, locked. A dying predecessor keeps its lock until the last.
Result<UniqueFd> open_object(const std::string& object, int flags, std::chrono::seconds patience) {
    constexpr std::chrono::milliseconds kPause{20};
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
        UniqueFd fd(::shm_open(object.c_str(), O_RDWR | flags, S_IRUSR | S_IWUSR));
        if (!fd) {
            const int error = errno;
            return failure(error, "shared memory " + object + ": " + reason(error));
        }
        const int error = try_lock(fd.get());
        bool still_named = false;
        CHECK(check_ours(fd.get(), object, &still_named));
        if (error == 0 && still_named) {
            return fd;
        }
        if (error != 0 && std::chrono::steady_clock::now() >= deadline) {
            return failure(EBUSY, "a RAM disk of this name is served already (" + object + ")");
        }
        std::this_thread::sleep_for(kPause);
    }
}

}  // namespace

Status RamMemory::check_free(const std::string& name) {
    const auto fd = open_object(object_name(name), 0, std::chrono::seconds(0));
    if (!fd && fd.error().code != ENOENT) {
        return std::unexpected(fd.error());
    }
    return {};
}

Result<std::unique_ptr<RamMemory>> RamMemory::open(const OpenRequest& request,
                                                   const std::string& name) {
    constexpr std::chrono::seconds kTakeOverPatience{20};
    std::string object = object_name(name);
    auto fd = request.take_over ? open_object(object, 0, kTakeOverPatience)
                                : open_object(object, O_CREAT, std::chrono::seconds(0));
    if (!fd && fd.error().code == ENOENT) {
        if (request.take_over) {
            return failure(ENODATA, "the contents of RAM disk '" + name +
                                        "' are gone; remove it and create it again");
        }
        request.host.log(request.host_device, LUNKIT_LOG_WARNING,
                         "there is no /dev/shm: this RAM disk will not outlive the daemon");
        object.clear();
        fd = UniqueFd(::memfd_create("lunkit-ram", MFD_CLOEXEC));
    }
    if (!fd) {
        return std::unexpected(std::move(fd).error());
    }
    std::unique_ptr<RamMemory> memory(new RamMemory(*std::move(fd), object, request.size));
    if (!request.take_over && ::ftruncate(memory->fd_.get(), 0) != 0) {
        const int error = errno;
        return failure(error, "RAM disk '" + name + "': " + reason(error));
    }
    if (request.take_over) {
        memory->keep();  // until it is served again, whatever goes wrong here
    }
    CHECK(memory->map(request.size));
    if (request.take_over) {
        CHECK(memory->adopt_data());
        memory->kept_ = false;
    }
    return memory;
}

RamMemory::~RamMemory() {
    if (base_ != nullptr) {
        (void)::munmap(base_, mapped_);  // nothing to be done about a failure
    }
    if (!kept_ && !object_.empty()) {
        (void)::shm_unlink(object_.c_str());  // somebody removed it by hand
    }
}

/// Makes the object and its mapping large enough for `size` bytes. With every stripe held.
Status RamMemory::map(std::uint64_t size) {
    const std::uint64_t chunks = chunks_of(size);
    if (chunks > static_cast<std::uint64_t>(INT64_MAX) / kChunkSize) {
        return failure(EFBIG, std::to_string(size) + " bytes are too many for a RAM disk");
    }
    const std::uint64_t bytes = chunks * kChunkSize;
    CHECK(truncate(size));
    if (bytes > mapped_) {
        void* const base = base_ == nullptr ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                                     MAP_SHARED, fd_.get(), 0)
                                            : ::mremap(base_, mapped_, bytes, MREMAP_MAYMOVE);
        if (base == MAP_FAILED) {
            const int error = errno;
            return failure(error,
                           "RAM disk of " + std::to_string(size) + " bytes: " + reason(error));
        }
        base_ = static_cast<std::byte*>(base);
        mapped_ = bytes;
    }
    bitmap_.resize((chunks + kChunksPerWord - 1) / kChunksPerWord);
    chunks_ = chunks;
    return {};
}

/// After a take-over: the chunks that hold data. Nobody else is there yet.
Status RamMemory::adopt_data() {
    off_t position = 0;
    for (;;) {
        position = ::lseek(fd_.get(), position, SEEK_DATA);
        if (position < 0 && errno == ENXIO) {
            return {};
        }
        const auto chunk = static_cast<std::uint64_t>(position) / kChunkSize;
        const int error = position < 0 ? -errno : take_space(chunk);
        if (error != 0) {
            return failure(-error, "the RAM disk cannot be taken over: " + reason(-error));
        }
        set_space(chunk, true);
        position = static_cast<off_t>((chunk + 1) * kChunkSize);
    }
}

int RamMemory::take_space(std::uint64_t chunk) const {
    while (::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(chunk * kChunkSize),
                       static_cast<off_t>(kChunkSize)) != 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

void RamMemory::set_space(std::uint64_t chunk, bool has) {
    const std::uint64_t bit = std::uint64_t{1} << chunk % kChunksPerWord;
    std::uint64_t& word = bitmap_[chunk / kChunksPerWord];
    word = has ? word | bit : word & ~bit;
}

/// Calls visit(chunk, skip, length, done): bytes [skip, +length) of `chunk` are those of the range
/// from `done` on. Stops at the first that is not 0.
template <typename Visit>
int RamMemory::for_each_chunk(std::uint64_t offset, std::uint64_t length, Visit visit) {
    for (std::uint64_t done = 0; done < length;) {
        const std::uint64_t skip = (offset + done) % kChunkSize;
        const std::uint64_t step = std::min(kChunkSize - skip, length - done);
        if (const int error = visit((offset + done) / kChunkSize, skip, step, done); error != 0) {
            return error;
        }
        done += step;
    }
    return 0;
}

int RamMemory::read(const lunkit_host& host, const IoRequest& io) {
    return for_each_chunk(
        io.offset, io.length,
        [&](std::uint64_t chunk, std::uint64_t skip, std::uint64_t length, std::uint64_t done) {
            const std::shared_lock hold(stripe(chunk));
            if (!exists(chunk)) {
                return -EINVAL;
            }
            const std::byte* const from =
                has_space(chunk) ? base_ + chunk * kChunkSize + skip : kZeros.data();
            return host.copy_to(io.data, io.data_offset + done, from, length);
        });
}

int RamMemory::write(const lunkit_host& host, const IoRequest& io) {
    return for_each_chunk(
        io.offset, io.length,
        [&](std::uint64_t chunk, std::uint64_t skip, std::uint64_t length, std::uint64_t done) {
            {
                const std::shared_lock hold(stripe(chunk));
                if (exists(chunk) && has_space(chunk)) {
                    return host.copy_from(io.data, io.data_offset + done,
                                          base_ + chunk * kChunkSize + skip, length);
                }
            }
            const std::unique_lock hold(stripe(chunk));
            if (!exists(chunk)) {
                return -EINVAL;
            }
            if (const int error = ensure_space(chunk); error != 0) {
                return error;
            }
            return host.copy_from(io.data, io.data_offset + done, base_ + chunk * kChunkSize + skip,
                                  length);
        });
}

int RamMemory::reserve(std::uint64_t offset, std::uint64_t length) {
    return for_each_chunk(offset, length, [this](std::uint64_t chunk, auto...) {
        const std::unique_lock hold(stripe(chunk));
        return exists(chunk) ? ensure_space(chunk) : -EINVAL;
    });
}

/// With the chunk's stripe held exclusively. 0 or -errno.
int RamMemory::ensure_space(std::uint64_t chunk) {
    if (!has_space(chunk)) {
        if (const int error = take_space(chunk); error != 0) {
            return error;
        }
        set_space(chunk, true);
    }
    return 0;
}

/// With the chunk's stripe held exclusively.
int RamMemory::zero_in_chunk(std::uint64_t chunk, std::uint64_t skip, std::uint64_t length,
                             bool give_back) {
    if (!exists(chunk)) {
        return -EINVAL;
    }
    if (!has_space(chunk)) {
        return 0;
    }
    if (!give_back || length < kChunkSize ||
        ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(chunk * kChunkSize), static_cast<off_t>(kChunkSize)) != 0) {
        std::memset(base_ + chunk * kChunkSize + skip, 0, length);
        return 0;
    }
    set_space(chunk, false);
    return 0;
}

int RamMemory::zero(std::uint64_t offset, std::uint64_t length, bool give_back) {
    return for_each_chunk(
        offset, length,
        [&](std::uint64_t chunk, std::uint64_t skip, std::uint64_t size, std::uint64_t /*done*/) {
            const std::unique_lock hold(stripe(chunk));
            return zero_in_chunk(chunk, skip, size, give_back);
        });
}

std::uint32_t RamMemory::extents(std::uint64_t offset, std::uint64_t length,
                                 std::span<Extent> extents) {
    std::uint32_t count = 0;
    std::uint64_t lookups = 0;
    (void)for_each_chunk(  // its result only ends the walk
        offset, length,
        [&](std::uint64_t chunk, std::uint64_t /*skip*/, std::uint64_t size,
            std::uint64_t /*done*/) {
            if (lookups++ == kMostLookups) {
                return 1;
            }
            const std::shared_lock hold(stripe(chunk));
            const std::uint32_t flags =
                exists(chunk) && has_space(chunk) ? 0U : LUNKIT_EXTENT_HOLE | LUNKIT_EXTENT_ZERO;
            if (count > 0 && extents[count - 1].flags == flags) {
                extents[count - 1].length += size;
                return 0;
            }
            if (count == extents.size()) {
                return 1;
            }
            extents[count++] = {size, flags, 0};
            return 0;
        });
    return count;
}

class RamMemory::AllStripes {
  public:
    explicit AllStripes(std::array<Stripe, kStripes>& stripes) : stripes_(stripes) {
        for (Stripe& stripe : stripes_) {
            stripe.lock();
        }
    }
    AllStripes(const AllStripes&) = delete;
    AllStripes& operator=(const AllStripes&) = delete;
    AllStripes(AllStripes&&) = delete;
    AllStripes& operator=(AllStripes&&) = delete;
    ~AllStripes() {
        for (Stripe& stripe : stripes_) {
            stripe.unlock();
        }
    }

  private:
    std::array<Stripe, kStripes>& stripes_;
};

Status RamMemory::truncate(std::uint64_t size) const {
    if (::ftruncate(fd_.get(), static_cast<off_t>(chunks_of(size) * kChunkSize)) != 0) {
        const int error = errno;
        return failure(error, "RAM disk of " + std::to_string(size) + " bytes: " + reason(error));
    }
    return {};
}

/// To `size`, which is less than there was. Everybody who takes space waits for the lock that a
/// truncation holds: a long one goes in steps.
Status RamMemory::shorten(std::uint64_t size) const {
    for (std::uint64_t left = size_; left - size > kCutStep;) {
        left -= kCutStep;
        CHECK(truncate(left));
    }
    return truncate(size);
}

/// What is cut off must not come back when the disk grows again.
void RamMemory::cut(std::uint64_t size) {
    const std::uint64_t kept = chunks_of(size);
    if (size % kChunkSize != 0) {
        (void)zero_in_chunk(kept - 1, size % kChunkSize, kChunkSize - size % kChunkSize,
                            false);  // it is there
    }
    for (std::uint64_t chunk = kept; chunk < chunks_; ++chunk) {
        set_space(chunk, false);
    }
    chunks_ = kept;
}

Status RamMemory::resize(std::uint64_t size) {
    if (size >= size_) {
        const AllStripes hold(stripes_);
        CHECK(map(size));
    } else {
        {
            const AllStripes hold(stripes_);
            cut(size);
        }
        CHECK(shorten(size));  // takes time; nobody looks there any more
    }
    size_ = size;
    return {};
}

}  // namespace lunkit::ram
