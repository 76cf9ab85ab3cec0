// SPDX-License-Identifier: Apache-2.0
// A file as a disk, in C++, with functions that block: for storage whose library knows no other
// way. They run on worker threads; here several at once, since pread and pwrite do not mind.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <lunkit/config_string.hpp>
#include <lunkit/handler.hpp>
#include <lunkit/try.hpp>
#include <lunkit/unique_fd.hpp>

#include <atomic>

using lunkit::failure;
using lunkit::Result;
using lunkit::Status;

class PlainFile : public lunkit::BlockingDevice {
  public:
    static constexpr bool kParallel = true;

    static Status check_config(const lunkit::CheckRequest& request) {
        TRY(const lunkit::ConfigString config, lunkit::ConfigString::parse(request.config));
        CHECK(config.finish());  // a key that nobody took is an error
        if (config.target().empty()) {
            return failure(EINVAL, "a file needs a path");
        }
        if (request.syntax_only || ::access(config.target().c_str(), R_OK) == 0 ||
            errno == ENOENT) {
            return {};  // open() makes one that is not there
        }
        return failure(errno, config.target() + " cannot be read");
    }

    static Result<std::unique_ptr<PlainFile>> open(const lunkit::OpenRequest& request) {
        TRY(const lunkit::ConfigString config, lunkit::ConfigString::parse(request.config));
        const bool may_create = request.size != 0 && !request.read_only && !request.take_over;
        const int flags = O_CLOEXEC | (request.read_only ? O_RDONLY : O_RDWR);
        lunkit::UniqueFd file(::open(config.target().c_str(), flags));
        if (!file && errno == ENOENT && may_create) {
            file.reset(::open(config.target().c_str(), flags | O_CREAT | O_EXCL, 0600));
            if (file && ::ftruncate(file.get(), static_cast<off_t>(request.size)) != 0) {
                return failure(errno, config.target() + " cannot be made that large");
            }
        }
        struct stat status{};
        if (!file || ::fstat(file.get(), &status) != 0) {
            return failure(errno, config.target() + " cannot be opened");
        }
        if (!S_ISREG(status.st_mode)) {
            return failure(EINVAL, config.target() + " is no regular file");
        }
        return std::make_unique<PlainFile>(std::move(file),
                                           static_cast<std::uint64_t>(status.st_size));
    }
    PlainFile(lunkit::UniqueFd file, std::uint64_t size) : file_(std::move(file)), size_(size) {}

    lunkit::DeviceInfo info() const override {
        lunkit::DeviceInfo info;
        info.size = size_;
        info.write_cache = true;  // until flush()
        info.parallel = true;
        return info;
    }
    Status read(std::byte* to, std::uint64_t length, std::uint64_t offset) override {
        while (length > 0) {
            const ssize_t got = ::pread(file_.get(), to, length, static_cast<off_t>(offset));
            if (got < 0 && errno == EINTR) {
                continue;
            }
            if (got <= 0) {
                return failure(got < 0 ? errno : EIO);  // somebody has cut the file
            }
            to += got;
            offset += static_cast<std::uint64_t>(got);
            length -= static_cast<std::uint64_t>(got);
        }
        return {};
    }
    Status write(const std::byte* from, std::uint64_t length, std::uint64_t offset) override {
        while (length > 0) {
            const ssize_t put = ::pwrite(file_.get(), from, length, static_cast<off_t>(offset));
            if (put < 0 && errno == EINTR) {
                continue;
            }
            if (put < 0) {
                return failure(errno);  // ENOSPC, for instance: initiators know what to do
            }
            from += put;
            offset += static_cast<std::uint64_t>(put);
            length -= static_cast<std::uint64_t>(put);
        }
        return {};
    }
    /// What failed once has lost something, and the kernel tells it once only.
    Status flush() override {
        if (::fdatasync(file_.get()) != 0) {
            lost_ = errno;
        }
        const int lost = lost_;
        return lost == 0 ? Status{} : failure(lost);
    }

  private:
    const lunkit::UniqueFd file_;
    const std::uint64_t size_;
    std::atomic<int> lost_{0};
};

LUNKIT_HANDLER(PlainFile, "plainfile", "a file as a disk, by blocking calls", "<path>");
