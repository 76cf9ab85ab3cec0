// SPDX-License-Identifier: Apache-2.0
#include "core/memory_mapping.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>

namespace lunkit::core {

Result<MemoryMapping> MemoryMapping::of_file(int fd, std::size_t size, std::string_view what) {
    return of_file(fd, 0, size, what, PROT_READ | PROT_WRITE);
}

Result<MemoryMapping> MemoryMapping::of_file_read_only(int fd, std::uint64_t offset,
                                                       std::size_t size, std::string_view what) {
    return of_file(fd, offset, size, what, PROT_READ);
}

Result<MemoryMapping> MemoryMapping::of_file(int fd, std::uint64_t offset, std::size_t size,
                                             std::string_view what, int protection) {
    void* base = ::mmap(nullptr, size, protection, MAP_SHARED, fd, static_cast<off_t>(offset));
    if (base == MAP_FAILED) {
        return failure(errno, fmt::format("cannot map {} bytes of {}", size, what));
    }
    MemoryMapping mapping;
    mapping.bytes_ = {static_cast<std::byte*>(base), size};
    return mapping;
}

Result<MemoryMapping> MemoryMapping::anonymous(std::size_t size) {
    void* base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return failure(errno, fmt::format("no memory for {} bytes", size));
    }
    MemoryMapping mapping;
    mapping.bytes_ = {static_cast<std::byte*>(base), size};
    return mapping;
}

void MemoryMapping::release() {
    if (!bytes_.empty()) {
        (void)::munmap(bytes_.data(), bytes_.size());  // cannot fail for a range that we mapped
        bytes_ = {};
    }
}

}  // namespace lunkit::core
