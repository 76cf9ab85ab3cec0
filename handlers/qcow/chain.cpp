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
#include "qcow/luks.hpp"
#include "qcow/luks_format.hpp"
#include "qcow/new_image.hpp"
#include "qcow/qcow1_image.hpp"
#include "qcow/sector_cipher.hpp"

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
    std::vector<FileIdentity> files = {};
    std::optional<SecretBytes> passphrase = std::nullopt;  // once it has been asked for

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

/// A backing file as an image names it. `format`: "" when it does not tell.
struct BackingName {
    std::string name;
    std::string format;
};

/// The format of a backing file: told by the image, else by the configuration; never probed.
Result<std::string> backing_format(const Chain& chain, const BackingName& backing,
                                   const std::string& image_path) {
    const std::string& format =
        backing.format.empty() ? chain.request.backing_format : backing.format;
    if (format.empty()) {
        return failure(ENOTSUP,
                       fmt::format("{} does not say the format of its backing file '{}': "
                                   "backing_format= in the configuration does, or, for qcow2 "
                                   "images, 'qemu-img rebase -u -F'",
                                   image_path, backing.name));
    }
    if (format != "raw" && format != "qcow2" && format != "qcow") {
        return failure(ENOTSUP, fmt::format("{}: backing file format '{}' is not supported",
                                            image_path, format));
    }
    return format;
}

/// The backing file of an image; nullptr if it has none.
Result<std::unique_ptr<Source>> open_backing(Chain& chain,
                                             const std::optional<BackingName>& backing,
                                             const std::string& image_path) {
    if (!backing) {
        return nullptr;
    }
    const std::string& root = chain.request.backing_folder;
    if (root.empty()) {
        return failure(EPERM,
                       fmt::format("{} has the backing file '{}', and backing=off forbids it",
                                   image_path, backing->name));
    }
    TRY(const std::string format, backing_format(chain, *backing, image_path));
    Result<std::string> path = resolve(root, image_path, backing->name);
    if (!path) {
        return failure(path.error().code, image_path + ": backing file: " + path.error().what);
    }
    return open_source(chain, *path, format);
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

/// The cipher of an encrypted image.
Result<std::unique_ptr<SectorCipher>> unlock(Chain& chain, const ImageFile& file,
                                             const Header& header) {
    if (!header.encryption_header || chain.request.locked) {
        return nullptr;
    }
    if (!chain.request.secret.given()) {
        return failure(ENOKEY, file.path() +
                                   " is encrypted: secret_file= or secret_credential= names its "
                                   "passphrase");
    }
    if (!chain.passphrase) {
        TRY(chain.passphrase, read_secret(chain.request.secret));
    }
    const ByteRange area = *header.encryption_header;
    std::vector<std::byte> start(std::min<std::uint64_t>(area.length, kLuksHeaderLength));
    CHECK(file.read_blocking(area.offset, start));
    const auto read = [&](std::uint64_t offset, std::span<std::byte> to) {
        return file.read_blocking(area.offset + offset, to);
    };
    const auto open = [&]() -> Result<std::unique_ptr<SectorCipher>> {
        TRY(const LuksHeader luks, parse_luks(start, area.length));
        if (chain.request.without_key) {
            return nullptr;
        }
        return unlock_luks(luks, read, *chain.passphrase);
    };
    Result<std::unique_ptr<SectorCipher>> cipher = open();
    if (!cipher) {
        return failure(cipher.error().code, file.path() + ": " + cipher.error().what);
    }
    return cipher;
}

/// An image of version 2 or 3: what its header names, and itself. `path`: absolute.
Result<std::unique_ptr<Disk>> open_version(Chain& chain, ImageFile file, Header header,
                                           const std::string& path, Image::Options options,
                                           std::uint32_t flags) {
    std::optional<BackingName> backing;
    if (header.backing_file) {
        backing = {*header.backing_file, header.backing_format};
    }
    Image::Parts parts;
    TRY(parts.data_file, open_data_file(chain, header, path, flags));
    TRY(parts.backing, open_backing(chain, backing, path));
    TRY(parts.cipher, unlock(chain, file, header));
    TRY(std::unique_ptr<Image> image,
        Image::open(std::move(file), std::move(header), std::move(options), std::move(parts)));
    return std::unique_ptr<Disk>(std::move(image));
}

/// The same of version 1.
Result<std::unique_ptr<Disk>> open_version(Chain& chain, ImageFile file, Qcow1Header header,
                                           const std::string& path, const Image::Options& options,
                                           std::uint32_t /*flags*/) {
    if (!options.read_only) {
        return Qcow1Image::refuse_writing(file);
    }
    if (!options.snapshot.empty()) {
        return failure(ENOENT, path + ": an image of version 1 has no snapshots");
    }
    std::optional<BackingName> backing;
    if (header.backing_file) {
        backing = {*header.backing_file, ""};
    }
    TRY(std::unique_ptr<Source> below, open_backing(chain, backing, path));
    TRY(std::unique_ptr<Qcow1Image> image, Qcow1Image::open(std::move(file), std::move(header),
                                                            options.cache_bytes, std::move(below)));
    return std::unique_ptr<Disk>(std::move(image));
}

/// An image of the chain, of any version.
Result<std::unique_ptr<Disk>> open_image(Chain& chain, ImageFile file, AnyHeader header,
                                         const std::string& path, const Image::Options& options,
                                         std::uint32_t flags) {
    return std::visit(
        [&](auto&& version) {
            return open_version(chain, std::move(file), std::forward<decltype(version)>(version),
                                path, options, flags);
        },
        std::move(header));
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
    TRY(AnyHeader header, read_header(file));
    const std::string found = std::holds_alternative<Qcow1Header>(header) ? "qcow" : "qcow2";
    if (found != format) {
        return failure(EINVAL, fmt::format("{} is not the {} image that it is said to be, but {}",
                                           file.path(), format, found));
    }
    Image::Options options;
    options.read_only = true;
    options.cache_bytes = chain.request.options.cache_bytes;
    const std::string absolute = (root == "/." ? "" : root) + "/" + path;
    TRY(std::unique_ptr<Disk> image, open_image(chain, std::move(file), std::move(header), absolute,
                                                options, LUNKIT_FILE_READ_ONLY));
    return std::unique_ptr<Source>(std::move(image));
}

/// A top image in clear never gets what guests write, nor what lies decrypted below it, when the
/// configuration names a secret.
Status check_not_in_clear(const ChainRequest& request, const AnyHeader& header) {
    const bool writes = request.for_writing || !request.options.read_only;
    const auto* const top = std::get_if<Header>(&header);  // version 1 is never written
    if (!request.secret.given() || request.locked || !writes || top == nullptr ||
        top->encryption_header) {
        return {};
    }
    return failure(EINVAL, request.path +
                               " is not encrypted, though the configuration names a secret: what "
                               "guests write, and what is copied from an encrypted backing file, "
                               "would stand there in clear; only readonly=on serves it");
}

}  // namespace

Status create_missing(const lunkit_host& host, const ChainRequest& request, std::uint64_t size) {
    const bool encrypted = request.secret.given();
    Result<std::uint64_t> bytes = new_image_bytes(size, encrypted);
    if (!bytes) {
        return failure(bytes.error().code, request.path + ": " + bytes.error().what);
    }
    std::vector<std::byte> luks;
    if (encrypted) {
        if (::access(request.path.c_str(), F_OK) == 0) {
            return {};  // not for nothing: it takes seconds
        }
        TRY(const SecretBytes passphrase, read_secret(request.secret));
        TRY(luks, format_luks(passphrase));
    }
    TRY(ImageFile file, ImageFile::open(host, request.path, request.file_flags | LUNKIT_FILE_CREATE,
                                        nullptr, *bytes));
    if (file.info().was_created == 0) {
        return {};
    }
    const Status written = write_new_image(file, size, luks);
    if (!written) {
        (void)::unlink(request.path.c_str());  // it is not an image; the error says what matters
        return failure(written.error().code,
                       request.path + " cannot be written: " +
                           std::generic_category().message(written.error().code));
    }
    return {};
}

Result<AnyHeader> read_header(const ImageFile& file) {
    std::vector<std::byte> start(std::min(file.end(), kMaxClusterSize));
    CHECK(file.read_blocking(0, start));
    const auto parse = [&]() -> Result<AnyHeader> {
        if (has_magic(start) && format_version(start) == 1) {
            return parse_qcow1_header(start, file.end());
        }
        return parse_header(start, file.end());
    };
    Result<AnyHeader> header = parse();
    if (!header) {
        return failure(header.error().code, file.path() + ": " + header.error().what);
    }
    return header;
}

Result<std::unique_ptr<Disk>> open_chain(const lunkit_host& host, const ChainRequest& request) {
    const std::uint32_t flags =
        request.file_flags | (request.options.read_only ? LUNKIT_FILE_READ_ONLY : 0U);
    TRY(ImageFile file, ImageFile::open(host, request.path, flags));
    Chain chain{host, request};
    CHECK(chain.enter(file));
    TRY(AnyHeader header, read_header(file));
    CHECK(check_not_in_clear(request, header));
    TRY(std::unique_ptr<Disk> image, open_image(chain, std::move(file), std::move(header),
                                                request.path, request.options, flags));
    if (request.secret.given() && !request.locked && !chain.passphrase) {
        return failure(EINVAL, request.path +
                                   " is not encrypted, though the configuration names a secret; "
                                   "refusing to serve it in clear");
    }
    return image;
}

}  // namespace lunkit::qcow
