// SPDX-License-Identifier: Apache-2.0
#include "qcow/chain.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/confined_path.hpp"
#include "qcow/header.hpp"

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
    const std::string& folder;
    std::uint64_t cache_bytes;
    std::vector<FileIdentity> files;

    Status enter(const ImageFile& file) {
        struct stat status{};
        if (::fstat(file.info().fd, &status) != 0) {
            return failure(errno, file.path() + ": " + std::strerror(errno));
        }
        const FileIdentity identity{status.st_dev, status.st_ino};
        if (std::ranges::find(files, identity) != files.end()) {
            return failure(ELOOP, file.path() + " is, in the end, its own backing file");
        }
        if (files.size() >= kMaxChainDepth) {
            return failure(ELOOP, fmt::format("{}: a chain of more than {} images", file.path(),
                                              kMaxChainDepth));
        }
        files.push_back(identity);
        return {};
    }
};

Result<Header> read_header(const ImageFile& file) {
    std::vector<std::byte> start(std::min(file.end(), kMaxClusterSize));
    CHECK(file.read_blocking(0, start));
    Result<Header> header = parse_header(start, file.end());
    if (!header) {
        return failure(header.error().code, file.path() + ": " + header.error().what);
    }
    return header;
}

Result<std::unique_ptr<Source>> open_source(Chain& chain, const std::string& path,
                                            const std::string& format);

/// The backing file of an image at `path`, relative to the chain's folder; nullptr if it has none.
Result<std::unique_ptr<Source>> open_backing(Chain& chain, const std::string& folder,
                                             const Header& header, const std::string& image_path) {
    if (!header.backing_file) {
        return nullptr;
    }
    const std::string& name = *header.backing_file;
    if (chain.folder.empty()) {
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
    Result<std::string> path = confined_path(chain.folder, folder, name);
    if (!path) {
        return failure(path.error().code, image_path + ": backing file: " + path.error().what);
    }
    return open_source(chain, *path, header.backing_format);
}

Result<std::unique_ptr<Source>> open_source(Chain& chain, const std::string& path,
                                            const std::string& format) {
    TRY(ImageFile file,
        ImageFile::open(chain.host, path, LUNKIT_FILE_READ_ONLY | LUNKIT_FILE_CONFINED,
                        chain.folder.c_str()));
    CHECK(chain.enter(file));
    if (format == "raw") {
        return std::make_unique<RawSource>(std::move(file));
    }
    TRY(Header header, read_header(file));
    TRY(std::unique_ptr<Source> backing,
        open_backing(chain, std::string(folder_of(path)), header, path));
    Image::Options options;
    options.read_only = true;
    options.cache_bytes = chain.cache_bytes;
    TRY(std::unique_ptr<Image> image,
        Image::open(std::move(file), std::move(header), std::move(options), std::move(backing)));
    return std::unique_ptr<Source>(std::move(image));
}

}  // namespace

Result<std::unique_ptr<Image>> open_chain(const lunkit_host& host, const ChainRequest& request) {
    const std::uint32_t flags =
        request.file_flags | (request.options.read_only ? LUNKIT_FILE_READ_ONLY : 0U);
    TRY(ImageFile file, ImageFile::open(host, request.path, flags));
    Chain chain{host, request.backing_folder, request.options.cache_bytes, {}};
    CHECK(chain.enter(file));
    TRY(Header header, read_header(file));
    // The top image lies in the folder itself, or deeper if a wider folder is configured.
    std::string_view folder = folder_of(request.path);
    if (folder == chain.folder || folder.empty()) {
        folder = {};
    } else if (!chain.folder.empty() && folder.starts_with(chain.folder + "/")) {
        folder.remove_prefix(chain.folder.size() + 1);
    } else if (!chain.folder.empty() && header.backing_file &&
               !header.backing_file->starts_with('/')) {
        return failure(EPERM, fmt::format("{}: its backing file '{}' lies outside of {}",
                                          request.path, *header.backing_file, chain.folder));
    }
    TRY(std::unique_ptr<Source> backing,
        open_backing(chain, std::string(folder), header, request.path));
    return Image::open(std::move(file), std::move(header), request.options, std::move(backing));
}

}  // namespace lunkit::qcow
