// SPDX-License-Identifier: Apache-2.0
#include "qcow/qcow_device.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "lunkit/try.hpp"
#include "qcow/chain.hpp"
#include "qcow/confined_path.hpp"
#include "qcow/inspect.hpp"
#include "qcow/options.hpp"
#include "qcow/queue_call.hpp"

namespace lunkit::qcow {

namespace {

ChainRequest chain_request(const QcowOptions& options, bool read_only) {
    ChainRequest request;
    request.path = options.path;
    request.options.read_only = read_only || options.read_only;
    request.options.snapshot = options.snapshot;
    request.options.cache_bytes = options.cache_bytes;
    request.options.lazy = options.lazy;
    request.backing_folder = options.backing_folder;
    request.data_folder = options.data_folder;
    request.backing_format = options.backing_format;
    request.secret = options.secret;
    return request;
}

/// Whether open() could create the image later.
Status check_creatable(const QcowOptions& options) {
    const std::string& path = options.path;
    const std::string folder(folder_of(path));
    if (::access((folder + "/").c_str(), W_OK | X_OK) != 0) {
        return failure(errno, path + " cannot be created: " + folder +
                                  "/: " + std::generic_category().message(errno));
    }
    if (!options.secret.given()) {
        return {};
    }
    const Result<SecretBytes> passphrase = read_secret(options.secret);
    return passphrase ? Status{} : Status{std::unexpected(passphrase.error())};
}

}  // namespace

Result<std::unique_ptr<QcowDevice>> QcowDevice::open(const OpenRequest& request) {
    TRY(const QcowOptions options, parse_options(request.config));
    const ChainRequest chain = chain_request(options, request.read_only);
    // A successor finds what its predecessor served, or an error: never a new, empty image.
    if (options.create && !request.read_only && !request.take_over && request.size != 0) {
        CHECK(create_missing(request.host, chain, request.size));
    }
    TRY(std::unique_ptr<Disk> image, open_chain(request.host, chain));
    const std::uint64_t usable = image->size() / request.block_size * request.block_size;
    if (usable == 0) {
        return failure(EINVAL, fmt::format("{}: a disk of {} bytes has no whole block of {}",
                                           options.path, image->size(), request.block_size));
    }
    // A predecessor may have died after it resized the image, and before the LUN's size followed.
    const bool grows_back = request.take_over && !image->read_only();
    if (request.size != 0 && request.size != usable &&
        (!request.take_over || (usable < request.size && !grows_back))) {
        return failure(EINVAL, fmt::format("{} is a disk of {} bytes; the LUN has {}", options.path,
                                           usable, request.size));
    }
    return std::unique_ptr<QcowDevice>(new QcowDevice(
        request.host, std::move(image), request.block_size, options.shrink, request.size));
}

Status QcowDevice::check_config(const CheckRequest& request) {
    TRY(const QcowOptions options, parse_options(request.config));
    if (request.syntax_only) {
        return {};
    }
    ChainRequest chain = chain_request(options, false);
    const bool writable = !chain.options.read_only;
    chain.for_writing = writable;
    chain.without_key = true;  // who asks waits for the answer, and may ask often
    chain.options.read_only = true;
    chain.file_flags = LUNKIT_FILE_NO_LOCK;  // it may be served already
    const Result<std::unique_ptr<Disk>> opened = open_chain(request.host, chain);
    if (!opened && options.create && ::access(options.path.c_str(), F_OK) != 0 && errno == ENOENT) {
        return check_creatable(options);
    }
    if (!opened) {
        return std::unexpected(opened.error());
    }
    return writable ? (*opened)->check_writable() : Status{};
}

Result<Facts> QcowDevice::inspect(const InspectRequest& request) {
    TRY(const QcowOptions options, parse_options(request.config));
    if (!request.verify) {
        return describe_image(request.host, options.path);
    }
    if (options.read_only && request.repair_leaks) {
        return failure(EINVAL, "nothing is repaired in what readonly or snapshot keep as it is");
    }
    ChainRequest chain = chain_request(options, false);
    chain.options.read_only = !request.repair_leaks;
    chain.options.snapshot.clear();  // the image as a whole
    chain.options.counts = true;
    chain.locked = true;  // what the clusters of data hold does not matter
    TRY(const std::unique_ptr<Disk> image, open_chain(request.host, chain));
    TRY(const Verdict verdict,
        (call_on<Result<Verdict>>(request.host, request.queue, [&image, &request](Queue& queue) {
            return image->verify(queue, request.repair_leaks);
        })));
    TRY(Facts facts, describe_image(request.host, options.path));  // as it is now
    append_verdict(facts, verdict);
    return facts;
}

DeviceInfo QcowDevice::info() const {
    // Longer ranges are split by the runner, so that one command does not hold the range lock and
    // change entries for ever.
    constexpr std::uint64_t kMostCleared = 4ULL << 30U;
    const lunkit_file_info& file = image_->file().info();
    DeviceInfo info;
    info.size = std::max(image_->size() / block_size_ * block_size_, lun_size_.load());
    info.physical_block_size = file.physical_block_size;
    info.optimal_io_size = static_cast<std::uint32_t>(image_->cluster_size());
    info.discard_granularity = info.optimal_io_size;
    info.max_discard = kMostCleared;
    info.max_write_zeroes = kMostCleared;
    info.read_only = image_->read_only();
    info.write_cache = !write_through_.load();
    info.rotational = file.is_rotational != 0;
    info.thin = true;
    info.can_discard = !image_->read_only() && image_->can_clear();
    info.discard_zeroes = info.can_discard;
    info.can_extents = true;
    return info;
}

/// Before each request.
Task<Status> QcowDevice::grow_back(Queue& queue) {
    const std::uint64_t size = lun_size_.load();
    if (image_->size() < size) {
        CO_CHECK(co_await image_->grow(queue, size));
    }
    lun_size_.store(0);
    co_return Status{};
}

Task<Status> QcowDevice::read(Queue& queue, const IoRequest& io) {
    seen(queue);
    if (lun_size_.load(std::memory_order_relaxed) != 0) {
        CO_CHECK(co_await grow_back(queue));
    }
    co_return co_await image_->read(queue, io);
}

Task<Status> QcowDevice::write(Queue& queue, const IoRequest& io) {
    seen(queue);
    if (lun_size_.load(std::memory_order_relaxed) != 0) {
        CO_CHECK(co_await grow_back(queue));
    }
    co_return co_await image_->write(queue, io, durable(io));
}

Task<Status> QcowDevice::flush(Queue& queue) {
    seen(queue);
    if (lun_size_.load(std::memory_order_relaxed) != 0) {
        CO_CHECK(co_await grow_back(queue));
    }
    co_return co_await image_->flush(queue);
}

Task<Status> QcowDevice::discard(Queue& queue, const IoRequest& io) {
    seen(queue);
    if (lun_size_.load(std::memory_order_relaxed) != 0) {
        CO_CHECK(co_await grow_back(queue));
    }
    const auto space =
        (io.flags & LUNKIT_IO_ANCHOR) != 0 ? Disk::Space::kKeep : Disk::Space::kRelease;
    co_return co_await image_->clear(queue, io.range(), space, durable(io));
}

Task<Status> QcowDevice::write_zeroes(Queue& queue, const IoRequest& io) {
    seen(queue);
    if (lun_size_.load(std::memory_order_relaxed) != 0) {
        CO_CHECK(co_await grow_back(queue));
    }
    if (!image_->can_clear() && (io.flags & LUNKIT_IO_NO_FALLBACK) == 0) {
        co_return co_await image_->write_zeros(queue, io.range(), durable(io));
    }
    const auto space =
        (io.flags & LUNKIT_IO_MAY_UNMAP) != 0 ? Disk::Space::kRelease : Disk::Space::kKeep;
    co_return co_await image_->clear(queue, io.range(), space, durable(io));
}

Task<Result<std::uint32_t>> QcowDevice::extents(Queue& queue, const IoRequest& io,
                                                std::span<Extent> extents) {
    seen(queue);
    if (lun_size_.load(std::memory_order_relaxed) != 0) {
        CO_CHECK(co_await grow_back(queue));
    }
    co_return co_await image_->extents(queue, io.range(), extents);
}

Task<Status> QcowDevice::change_size(Queue& queue, std::uint64_t size, bool shrinks) {
    CO_CHECK(co_await grow_back(queue));
    if (shrinks) {
        co_return co_await image_->shrink(queue, size);
    }
    co_return co_await image_->grow(queue, size);
}

Status QcowDevice::resize(std::uint64_t size) {
    const std::uint64_t present = info().size;
    if (size == present) {
        return {};
    }
    const bool shrinks = size < present;
    if (shrinks && !may_shrink_) {
        return failure(EPERM,
                       fmt::format("the disk in {} would be cut from {} to {} bytes and lose what "
                                   "is behind; shrink=on allows it",
                                   image_->file().path(), present, size));
    }
    lunkit_queue* const queue = queue_.load(std::memory_order_acquire);
    if (queue == nullptr) {
        return failure(EAGAIN, "the device has not served a request yet; try again after one");
    }
    return call_on<Status>(host_, queue, [this, size, shrinks](Queue& on_queue) {
        return change_size(on_queue, size, shrinks);
    });
}

Status QcowDevice::set_write_cache(bool enabled) {
    write_through_.store(!enabled);
    return {};
}

}  // namespace lunkit::qcow
