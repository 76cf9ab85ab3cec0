// SPDX-License-Identifier: Apache-2.0
#include "qcow/compressed_reader.hpp"

#include <span>
#include <utility>

#include <fmt/format.h>

#include "lunkit/io_request.hpp"
#include "lunkit/try.hpp"
#include "qcow/inflate.hpp"

namespace lunkit::qcow {

Task<Status> CompressedReader::read(Queue& queue, Place place, std::uint64_t within,
                                    const lunkit_data& data, std::uint64_t data_offset,
                                    std::uint64_t length) {
    if (inflated_.size() == 0 || offset_ != place.offset) {
        CO_TRY(const HostBuffer compressed, HostBuffer::allocate(file_.host(), place.length));
        CO_TRY(HostBuffer cluster, HostBuffer::allocate(file_.host(), cluster_size_));
        const SingleData into(compressed.span());
        CO_CHECK(co_await file_.read(queue, place.offset, into, 0, place.length));
        const auto work = [type = type_, &compressed, &cluster]() -> std::int64_t {
            return inflate_cluster(type, compressed.span(), cluster.span());
        };
        const Outcome outcome = co_await queue.offload(this, work);
        if (!outcome.ok()) {
            co_return std::unexpected<Error>(
                Error{static_cast<int>(-outcome.result),
                      fmt::format("{}: the compressed cluster at {:#x} is damaged", file_.path(),
                                  place.offset),
                      0, ErrorClass::kMedium});
        }
        inflated_ = std::move(cluster);
        offset_ = place.offset;
    }
    const std::span<const std::byte> cluster = inflated_.span();
    co_return copy_in(file_.host(), data, data_offset, cluster.subspan(within, length));
}

}  // namespace lunkit::qcow
