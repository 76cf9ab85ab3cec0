// SPDX-License-Identifier: Apache-2.0
#include "qcow/secret.hpp"

#include <fcntl.h>
#include <gcrypt.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <system_error>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "lunkit/unique_fd.hpp"

namespace lunkit::qcow {

namespace {

constexpr std::size_t kLongest = 8192;  // of a passphrase
constexpr std::size_t kPrefix = 64;     // before the bytes of a secret

/// libgcrypt locks its pool, but does not keep it out of core dumps. The pool is a mapping of its
/// own, whose first block lies in its first page; should that ever change, other pages are left
/// out.
void leave_out_of_dumps(std::size_t pool) {
    constexpr std::size_t kBlock = 32;
    auto* const block = static_cast<std::byte*>(gcry_malloc_secure(kBlock));
    if (block == nullptr) {
        return;
    }
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    std::byte* const start = block - reinterpret_cast<std::uintptr_t>(block) % page;
    (void)::madvise(start, pool, MADV_DONTDUMP);  // an old kernel: it is locked and wiped still
    gcry_free(block);
}

/// Initialises libgcrypt, unless another library of this process has.
bool initialise_gcrypt() {
    if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) != 0) {
        return true;
    }
    constexpr int kPool = 256 << 10;  // bytes; a key schedule takes a few KiB
    constexpr int kMore = 64 << 10;
    if (gcry_check_version(GCRYPT_VERSION) == nullptr) {
        return false;
    }
    (void)gcry_control(GCRYCTL_DISABLE_SECMEM_WARN);  // it would write to stderr
    (void)gcry_control(GCRYCTL_AUTO_EXPAND_SECMEM, kMore);
    (void)gcry_control(GCRYCTL_INIT_SECMEM, kPool, 0);
    leave_out_of_dumps(kPool);
    return gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0) == 0;
}

std::unexpected<Error> cannot_read(const std::string& path, int error) {
    return failure(error, path + ": " + std::generic_category().message(error));
}

Result<SecretBytes> read_all(int fd, const std::string& path) {
    TRY(SecretBytes bytes, SecretBytes::allocate(kLongest + 1));
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t got = ::read(fd, bytes.span().data() + done, bytes.size() - done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return cannot_read(path, errno);
        }
        if (got == 0) {
            break;
        }
        done += static_cast<std::size_t>(got);
    }
    if (done == 0 || done > kLongest) {
        return failure(EINVAL, fmt::format("{}: a passphrase has 1 to {} bytes", path, kLongest));
    }
    bytes.shrink(done);
    return bytes;
}

/// `shared`: whoever made it decided who else may read it.
Result<SecretBytes> read_file(const std::string& path, bool shared) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    struct stat status{};
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        return cannot_read(path, errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return failure(EINVAL, path + " is no regular file");
    }
    const bool owned = status.st_uid == 0 || status.st_uid == ::geteuid();
    if (!shared && (!owned || (status.st_mode & (S_IRWXG | S_IRWXO)) != 0)) {
        return failure(EPERM, path +
                                  " holds a secret and must be root's alone: 'chown root' and "
                                  "'chmod 600' it");
    }
    return read_all(fd.get(), path);
}

Result<std::string> credential_path(const std::string& name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the daemon does not change its environment
    const char* const folder = std::getenv("CREDENTIALS_DIRECTORY");
    if (folder == nullptr) {
        return failure(ENOENT, fmt::format("credential '{}': the service has no credentials "
                                           "(LoadCredential= in its unit, systemd.exec(5))",
                                           name));
    }
    return fmt::format("{}/{}", folder, name);
}

}  // namespace

Status prepare_gcrypt() {
    static std::once_flag once;
    static bool ready = false;
    std::call_once(once, [] { ready = initialise_gcrypt(); });
    return ready ? Status{} : Status{failure(ENOSYS, "libgcrypt cannot be used")};
}

/// Pages of its own: libgcrypt's pool of locked memory is small, and does not grow for 250 KiB. The
/// mapping's length stands before the bytes.
Result<SecretBytes> SecretBytes::allocate(std::size_t size) {
    const std::size_t length = size + kPrefix;
    void* const pages =
        ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        return failure(ENOMEM, "no memory is left for a key");
    }
    if (::mlock(pages, length) != 0) {
        const int error = errno;
        (void)::munmap(pages, length);  // nothing is in it yet
        return failure(error, "no locked memory is left for a key (RLIMIT_MEMLOCK)");
    }
    (void)::madvise(pages, length, MADV_DONTDUMP);  // an old kernel: it is locked and wiped still
    std::memcpy(pages, &length, sizeof length);
    SecretBytes bytes;
    bytes.memory_ = static_cast<std::byte*>(pages) + kPrefix;
    bytes.size_ = size;
    return bytes;
}

SecretBytes::~SecretBytes() {
    if (memory_ == nullptr) {
        return;
    }
    std::byte* const pages = memory_ - kPrefix;
    std::size_t length = 0;
    std::memcpy(&length, pages, sizeof length);
    ::explicit_bzero(pages, length);
    (void)::munmap(pages, length);  // wiped, whatever it says
}

Result<SecretBytes> read_secret(const SecretSource& source) {
    if (!source.file.empty()) {
        return read_file(source.file, false);
    }
    TRY(const std::string path, credential_path(source.credential));
    return read_file(path, true);
}

}  // namespace lunkit::qcow
