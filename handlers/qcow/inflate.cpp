// SPDX-License-Identifier: Apache-2.0
#include "qcow/inflate.hpp"

#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <memory>

namespace lunkit::qcow {

namespace {

int inflate_deflate(std::span<const std::byte> compressed, std::span<std::byte> cluster) {
    constexpr int kRawWindowBits = -12;  // no zlib header, a window of 4 KiB
    z_stream stream{};
    // zlib does not write there; its type cannot say so without ZLIB_CONST.
    stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(compressed.data()));
    stream.avail_in = static_cast<uInt>(compressed.size());
    stream.next_out = reinterpret_cast<Bytef*>(cluster.data());
    stream.avail_out = static_cast<uInt>(cluster.size());
    if (inflateInit2(&stream, kRawWindowBits) != Z_OK) {
        return -ENOMEM;
    }
    const int status = inflate(&stream, Z_FINISH);
    const bool full = stream.avail_out == 0;
    (void)inflateEnd(&stream);  // frees; there is nothing it could tell
    // Z_BUF_ERROR: the cluster is full and the stream's end mark does not fit or is missing.
    return full && (status == Z_STREAM_END || status == Z_BUF_ERROR) ? 0 : -EIO;
}

int inflate_zstd(std::span<const std::byte> compressed, std::span<std::byte> cluster) {
    const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream(ZSTD_createDStream(),
                                                                            &ZSTD_freeDStream);
    if (stream == nullptr) {
        return -ENOMEM;
    }
    ZSTD_inBuffer input{compressed.data(), compressed.size(), 0};
    ZSTD_outBuffer output{cluster.data(), cluster.size(), 0};
    // A cluster may consist of several frames.
    while (output.pos < output.size) {
        const std::size_t consumed = input.pos;
        const std::size_t produced = output.pos;
        const std::size_t status = ZSTD_decompressStream(stream.get(), &output, &input);
        if (ZSTD_isError(status) != 0 || (input.pos == consumed && output.pos == produced)) {
            return -EIO;
        }
    }
    return 0;
}

}  // namespace

int inflate_cluster(CompressionType type, std::span<const std::byte> compressed,
                    std::span<std::byte> cluster) {
    return type == CompressionType::kZstd ? inflate_zstd(compressed, cluster)
                                          : inflate_deflate(compressed, cluster);
}

}  // namespace lunkit::qcow
