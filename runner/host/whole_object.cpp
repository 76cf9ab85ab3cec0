// SPDX-License-Identifier: Apache-2.0
#include "host/whole_object.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/system_failure.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::host {

namespace {

constexpr unsigned char kNativeClass = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;

bool read_at(int fd, void* to, std::size_t length, std::uint64_t offset) {
    return ::pread(fd, to, length, static_cast<off_t>(offset)) == static_cast<ssize_t>(length);
}

bool inside(std::uint64_t offset, std::uint64_t length, std::uint64_t size) {
    return offset <= size && length <= size - offset;
}

}  // namespace

Status check_whole_object(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        return core::system_failure(path);
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    ElfW(Ehdr) header{};
    if (!read_at(fd.get(), &header, sizeof header, 0) ||
        std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != kNativeClass || header.e_phentsize != sizeof(ElfW(Phdr))) {
        return {};
    }
    const auto cut = [&] { return failure(ENOEXEC, path + " is cut short"); };
    std::vector<ElfW(Phdr)> segments(header.e_phnum);
    const std::size_t length = segments.size() * sizeof(ElfW(Phdr));
    if (!inside(header.e_phoff, length, size) ||
        !read_at(fd.get(), segments.data(), length, header.e_phoff)) {
        return cut();
    }
    for (const ElfW(Phdr) & segment : segments) {
        if (segment.p_type == PT_LOAD && !inside(segment.p_offset, segment.p_filesz, size)) {
            return cut();
        }
    }
    return {};
}

}  // namespace lunkit::host
