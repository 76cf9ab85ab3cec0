// SPDX-License-Identifier: Apache-2.0
#include "qcow/chain.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/confined_path.hpp"
#include "qcow/header.hpp"
#include "qcow/new_image.hpp"

namespace lunkit::qcow {

namespace {

/// A backing file without a format of its own.
class RawSource final : public Source {
  public:
    explicit RawSource(ImageFile file) : file_(std::move(file)), size_(file_.end()) {}
    [[nodiscard]] std::uint64_t size() const override { return size_; }
    Task<Status> read_range(Queue& queue, std::uint64_t offset, const lunkit_data& data,
                            std::uint64_t data_offset, std::uint64_t length) override {
        co_return co_await file_.read(queue, offset, data, data_offset, length);
    }

  private:
    ImageFile file_;
    std::uint64_t size_;
};

using FileIdentity = std::pair<dev_t, ino_t>;

/// What the images of a chain have in common while it is opened, top first.
struct Chain {
    const lunkit_host& host;
    const ChainRequest& request;
    std::vector<FileIdentity> files;

    Result<struct stat> enter(const ImageFile& file) {
        struct stat status{};
        if (::fstat(file.info().fd, &status) != 0) {
            return failure(errno, file.path() + ": " + std::generic_category().message(errno));
        }
        const FileIdentity identity{status.st_dev, status.st_ino};
        if (std::ranges::find(files, identity) != files.end()) {
            return failure(ELOOP, file.path() + " is, in the end, its own backing or data file");
        }
        if (files.size() >= kMaxChainDepth) {
            return failure(ELOOP, fmt::format("{}: a chain of more than {} images", file.path(),
                                              kMaxChainDepth));
        }
        files.push_back(identity);
        return status;
    }
};

/// A name in an image at `image_path`, absolute, as a path beneath `root`, relative to that.
Result<std::string> resolve(const std::string& root, const std::string& image_path,
                            const std::string& name) {
    std::string_view folder = folder_of(image_path);
    const std::string_view base = root == "/." ? std::string_view{} : root;
    if (folder == base || name.starts_with('/')) {
        return confined_path(root, "", name);
    }
    if (!folder.starts_with(base) || folder[base.size()] != '/') {
        return failure(EPERM, fmt::format("'{}' lies outside of {}", name, root));
    }
    return confined_path(root, folder.substr(base.size() + 1), name);
}

Result<std::unique_ptr<Source>> open_source(Chain& chain, const std::string& path,
                                            const std::string& format);

/// The backing file of an image; nullptr if it has none.
Result<std::unique_ptr<Source>> open_backing(Chain& chain, const Header& header,
                                             const std::string& image_path) {
    if (!header.backing_file) {
        return nullptr;
    }
    const std::string& name = *header.backing_file;
    const std::string& root = chain.request.backing_folder;
    if (root.empty()) {
        return failure(EPERM,
                       fmt::format("{} has the backing file '{}', and backing=off forbids it",
                                   image_path, name));
    }
    if (header.backing_format != "raw" && header.backing_format != "qcow2") {
        return failure(
            ENOTSUP, header.backing_format.empty()
                         ? fmt::format("{} does not say the format of its backing file '{}': "
                                       "'qemu-img rebase -u -F' does",
                                       image_path, name)
                         : fmt::format("{}: backing file format '{}' is not supported", image_path,
                                       header.backing_format));
    }
    Result<std::string> path = resolve(root, image_path, name);
    if (!path) {
        return failure(path.error().code, image_path + ": backing file: " + path.error().what);
    }
    return open_source(chain, *path, header.backing_format);
}

/// The external data file of an image, if it has one. `flags`: those of the image.
Result<std::optional<ImageFile>> open_data_file(Chain& chain, const Header& header,
                                                const std::string& image_path,
                                                std::uint32_t flags) {
    if (!header.has(kExternalDataFile)) {
        return std::nullopt;
    }
    const std::string& root = chain.request.data_folder;
    if (root.empty()) {
        return failure(EPERM, fmt::format("{} has the external data file '{}', which data_file=off "
                                          "(the default) forbids",
                                          image_path, *header.data_file));
    }
    Result<std::string> path = resolve(root, image_path, *header.data_file);
    if (!path) {
        return failure(path.error().code, image_path + ": data file: " + path.error().what);
    }
    TRY(ImageFile file,
        ImageFile::open(chain.host, *path, flags | LUNKIT_FILE_CONFINED, root.c_str()));
    TRY(const struct stat status, chain.enter(file));
    if (!S_ISREG(status.st_mode)) {
        return failure(EPERM, image_path + ": its external data file is no regular file");
    }
    return file;
}

/// An image of the chain: what its header names, and itself. `path`: absolute.
Result<std::unique_ptr<Image>> open_image(Chain& chain, ImageFile file, const std::string& path,
                                          Image::Options options, std::uint32_t flags) {
    TRY(Header header, read_header(file));
    Image::Parts parts;
    TRY(parts.data_file, open_data_file(chain, header, path, flags));
    TRY(parts.backing, open_backing(chain, header, path));
    return Image::open(std::move(file), std::move(header), std::move(options), std::move(parts));
}

/// `path`: beneath the folder of backing files.
Result<std::unique_ptr<Source>> open_source(Chain& chain, const std::string& path,
                                            const std::string& format) {
    const std::string& root = chain.request.backing_folder;
    TRY(ImageFile file,
        ImageFile::open(chain.host, path, LUNKIT_FILE_READ_ONLY | LUNKIT_FILE_CONFINED,
                        root.c_str()));
    CHECK(chain.enter(file));
    if (format == "raw") {
        return std::make_unique<RawSource>(std::move(file));
    }
    Image::Options options;
    options.read_only = true;
    options.cache_bytes = chain.request.options.cache_bytes;
    const std::string absolute = (root == "/." ? "" : root) + "/" + path;
    TRY(std::unique_ptr<Image> image,
        open_image(chain, std::move(file), absolute, std::move(options), LUNKIT_FILE_READ_ONLY));
    return std::unique_ptr<Source>(std::move(image));
}

}  // namespace

Status create_missing(const lunkit_host& host, const ChainRequest& request, std::uint64_t size) {
    Result<std::uint64_t> bytes = new_image_bytes(size);
    if (!bytes) {
        return failure(bytes.error().code, request.path + ": " + bytes.error().what);
    }
    TRY(ImageFile file, ImageFile::open(host, request.path, request.file_flags | LUNKIT_FILE_CREATE,
                                        nullptr, *bytes));
    if (file.info().was_created == 0) {
        return {};
    }
    const Status written = write_new_image(file, size);
    if (!written) {
        (void)::unlink(request.path.c_str());  // it is not an image; the error says what matters
        return failure(written.error().code,
                       request.path + " cannot be written: " +
                           std::generic_category().message(written.error().code));
    }
    return {};
}

Result<Header> read_header(const ImageFile& file) {
    std::vector<std::byte> start(std::min(file.end(), kMaxClusterSize));
    CHECK(file.read_blocking(0, start));
    Result<Header> header = parse_header(start, file.end());
    if (!header) {
        return failure(header.error().code, file.path() + ": " + header.error().what);
    }
    return header;
}

Result<std::unique_ptr<Image>> open_chain(const lunkit_host& host, const ChainRequest& request) {
    const std::uint32_t flags =
        request.file_flags | (request.options.read_only ? LUNKIT_FILE_READ_ONLY : 0U);
    TRY(ImageFile file, ImageFile::open(host, request.path, flags));
    Chain chain{host, request, {}};
    CHECK(chain.enter(file));
    return open_image(chain, std::move(file), request.path, request.options, flags);
}

}  // namespace lunkit::qcow
