// SPDX-License-Identifier: Apache-2.0
#include "rig/reader.hpp"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "lunkit/io_request.hpp"
#include "lunkit/try.hpp"

namespace lunkit::qcow_rig {

namespace {

constexpr std::array<std::byte, kSector> kZeros{};

/// Raw deflate with a window of 2^12 ("Compressed Clusters").
bool inflate_raw(const Bytes& packed, Bytes& cluster) {
    z_stream stream{};
    if (inflateInit2(&stream, -12) != Z_OK) {
        return false;
    }
    Bytes input = packed;  // zlib takes a pointer to non-const
    stream.next_in = reinterpret_cast<Bytef*>(input.data());
    stream.avail_in = static_cast<uInt>(input.size());
    stream.next_out = reinterpret_cast<Bytef*>(cluster.data());
    stream.avail_out = static_cast<uInt>(cluster.size());
    const int status = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return stream.avail_out == 0 && (status == Z_STREAM_END || status == Z_BUF_ERROR);
}

bool inflate_zstd(const Bytes& packed, Bytes& cluster) {
    const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream(ZSTD_createDStream(),
                                                                            ZSTD_freeDStream);
    ZSTD_inBuffer in{packed.data(), packed.size(), 0};
    ZSTD_outBuffer out{cluster.data(), cluster.size(), 0};
    while (out.pos < out.size) {
        const std::size_t before_in = in.pos;
        const std::size_t before_out = out.pos;
        const std::size_t status = ZSTD_decompressStream(stream.get(), &out, &in);
        if (ZSTD_isError(status) != 0 || (in.pos == before_in && out.pos == before_out)) {
            return false;
        }
    }
    return true;
}

}  // namespace

RawSource::RawSource(Bytes bytes) : bytes_(std::move(bytes)) {
    bytes_.resize((bytes_.size() + kSector - 1) / kSector * kSector);
}

const std::byte* InflatedClusters::find(ImageView image, const Layout& layout,
                                        std::uint64_t entry) {
    Place place = compressed_place(layout, entry);
    if (place.offset >= image.size()) {
        return nullptr;
    }
    place.length = std::min<std::uint64_t>(place.length, image.size() - place.offset);
    const ImageView packed = image.subspan(place.offset, place.length);
    Kept& kept = kept_[entry];
    if (!std::ranges::equal(kept.packed, packed)) {
        kept.packed.assign(packed.begin(), packed.end());
        kept.cluster.assign(layout.cluster(), std::byte{});
        const bool good = layout.zstd ? inflate_zstd(kept.packed, kept.cluster)
                                      : inflate_raw(kept.packed, kept.cluster);
        if (!good) {
            kept.cluster.clear();
        }
    }
    return kept.cluster.empty() ? nullptr : kept.cluster.data();
}

Result<std::unique_ptr<QcowReader>> QcowReader::open(ImageView image, SectorSource* backing,
                                                     ImageView data_file,
                                                     InflatedClusters& inflated,
                                                     qcow::SectorCipher* cipher) {
    TRY(const Layout layout, read_layout(image));
    return std::unique_ptr<QcowReader>(
        new QcowReader(image, layout, backing, data_file, inflated, cipher));
}

const std::byte* QcowReader::from_backing(std::uint64_t number) {
    if (backing_ == nullptr || number >= backing_->sectors()) {
        return kZeros.data();
    }
    const std::byte* const found = backing_->sector(number);
    if (found == nullptr) {
        why_ = "backing: " + backing_->why();
    }
    return found;
}

const std::byte* QcowReader::from_host(std::uint64_t entry, std::uint64_t guest) {
    const ImageView file = layout_.has(Incompatible::kDataFile) ? data_file_ : image_;
    const std::uint64_t at = (entry & kOffsetMask) + (guest & (layout_.cluster() - 1));
    if (at >= file.size()) {
        return decrypted(at, kZeros.data());
    }
    if (ByteRange::fits(at, kSector, file.size())) {
        return decrypted(at, &file[at]);
    }
    const ImageView rest = file.subspan(at);
    last_sector_.assign(kSector, std::byte{});
    std::ranges::copy(rest, last_sector_.begin());
    return decrypted(at, last_sector_.data());
}

/// `at`: where it is in the host file.
const std::byte* QcowReader::decrypted(std::uint64_t at, const std::byte* sector) {
    if (cipher_ == nullptr) {
        return sector;
    }
    clear_.assign(sector, sector + kSector);
    if (cipher_->decrypt(clear_, at / kSector) != 0) {
        why_ = fmt::format("the sector at {:#x} cannot be decrypted", at);
        return nullptr;
    }
    return clear_.data();
}

const std::byte* QcowReader::sector(std::uint64_t number) {
    const std::uint64_t guest = number * kSector;
    const std::uint64_t l1_entry =
        entry_at(image_, layout_.l1.offset + guest / layout_.l2_reach() * 8);
    const std::uint64_t table = l1_entry & kOffsetMask;
    if (table == 0) {
        return from_backing(number);
    }
    const std::uint64_t index = guest / layout_.cluster() % layout_.l2_entries();
    const std::uint64_t at = table + index * layout_.l2_entry_size();
    const std::uint64_t entry = entry_at(image_, at);
    if ((entry & kCompressed) != 0) {
        // The image does not change under a reader.
        const std::byte* const cluster =
            entry == last_entry_ ? last_cluster_ : inflated_.find(image_, layout_, entry);
        last_entry_ = entry;
        last_cluster_ = cluster;
        if (cluster == nullptr) {
            why_ = fmt::format("compressed cluster {:#x} does not inflate", entry);
            return nullptr;
        }
        return cluster + (guest & (layout_.cluster() - 1));
    }
    if (layout_.has(Incompatible::kExtendedL2)) {
        const std::uint64_t bitmap = entry_at(image_, at + 8);
        const std::uint64_t sub = (guest & (layout_.cluster() - 1)) / (layout_.cluster() / 32);
        if ((bitmap >> (32 + sub) & 1) != 0) {
            return kZeros.data();
        }
        return (bitmap >> sub & 1) != 0 ? from_host(entry, guest) : from_backing(number);
    }
    if ((entry & kZeroFlag) != 0) {
        return kZeros.data();
    }
    const bool in_data_file = layout_.has(Incompatible::kDataFile) && (entry & kCopied) != 0;
    return (entry & kOffsetMask) != 0 || in_data_file ? from_host(entry, guest)
                                                      : from_backing(number);
}

Result<Bytes> read_all(SectorSource& source) {
    Bytes all(source.sectors() * kSector);
    for (std::uint64_t number = 0; number < source.sectors(); ++number) {
        const std::byte* const found = source.sector(number);
        if (found == nullptr) {
            return failure(EIO, fmt::format("sector {}: {}", number, source.why()));
        }
        std::memcpy(&all[number * kSector], found, kSector);
    }
    return all;
}

}  // namespace lunkit::qcow_rig
