// SPDX-License-Identifier: Apache-2.0
#include "qcow/inspect.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <system_error>
#include <variant>
#include <vector>

#include "lunkit/try.hpp"
#include "qcow/chain.hpp"
#include "qcow/header.hpp"
#include "qcow/image_file.hpp"
#include "qcow/snapshot_table.hpp"

namespace lunkit::qcow {

namespace {

constexpr std::uint64_t kStatBlock = 512;  // unit of st_blocks

void append_sizes(Facts& facts, std::uint64_t virtual_size, std::uint64_t cluster_size,
                  const struct stat& status) {
    facts.push_back({"virtual_size", virtual_size});
    facts.push_back({"file_size", static_cast<std::uint64_t>(status.st_size)});
    facts.push_back({"allocated", static_cast<std::uint64_t>(status.st_blocks) * kStatBlock});
    facts.push_back({"cluster_size", cluster_size});
}

void append_features(Facts& facts, const Header& header) {
    facts.push_back({"refcount_bits", std::uint64_t{1} << header.refcount_order});
    facts.push_back(
        {"compression", header.compression_type == CompressionType::kZstd ? "zstd" : "zlib"});
    facts.push_back({"extended_l2", header.has(kExtendedL2)});
    facts.push_back({"lazy_refcounts", (header.compatible_features & kLazyRefcounts) != 0});
    if (header.encryption_header) {
        facts.push_back({"encryption", "luks"});
    }
    facts.push_back({"dirty", header.has(kDirty)});
    facts.push_back({"corrupt", header.has(kCorrupt)});
    if (header.bitmaps && (header.autoclear_features & kBitmapsConsistent) != 0) {
        facts.push_back({"bitmaps", std::uint64_t{header.bitmaps->count}});
    }
}

void append_other_files(Facts& facts, const Header& header) {
    if (header.backing_file) {
        facts.push_back({"backing_file", *header.backing_file});
        facts.push_back({"backing_format", header.backing_format});
    }
    if (header.data_file) {
        facts.push_back({"data_file", *header.data_file});
        facts.push_back({"data_file_raw", header.raw_data_file()});
    }
}

Status append_snapshots(Facts& facts, const ImageFile& file, const Header& header) {
    if (header.nb_snapshots == 0) {
        return {};
    }
    Result<SnapshotTable> table = read_snapshots(file, header);
    if (!table) {
        return failure(table.error().code, file.path() + ": " + table.error().what);
    }
    std::vector<std::string> ids;
    std::vector<std::string> names;
    for (Snapshot& snapshot : table->snapshots) {
        ids.push_back(std::move(snapshot.id));
        names.push_back(std::move(snapshot.name));
    }
    facts.push_back({"snapshot_ids", std::move(ids)});
    facts.push_back({"snapshot_names", std::move(names)});
    return {};
}

Status describe(Facts& facts, const ImageFile& file, const Header& header,
                const struct stat& status) {
    facts.push_back({"format", "qcow2"});
    facts.push_back({"version", std::uint64_t{header.version}});
    append_sizes(facts, header.size, header.cluster_size(), status);
    append_features(facts, header);
    append_other_files(facts, header);
    return append_snapshots(facts, file, header);
}

Status describe(Facts& facts, const ImageFile& /*file*/, const Qcow1Header& header,
                const struct stat& status) {
    facts.push_back({"format", "qcow"});
    facts.push_back({"version", std::uint64_t{1}});
    append_sizes(facts, header.size, header.cluster_size(), status);
    if (header.backing_file) {
        facts.push_back({"backing_file", *header.backing_file});
    }
    return {};
}

}  // namespace

Result<Facts> describe_image(const lunkit_host& host, const std::string& path) {
    TRY(const ImageFile file,
        ImageFile::open(host, path, LUNKIT_FILE_READ_ONLY | LUNKIT_FILE_NO_LOCK));
    TRY(const AnyHeader header, read_header(file));
    struct stat status{};
    if (::fstat(file.info().fd, &status) != 0) {
        return failure(errno, path + ": " + std::generic_category().message(errno));
    }
    Facts facts;
    CHECK(std::visit([&](const auto& version) { return describe(facts, file, version, status); },
                     header));
    return facts;
}

void append_verdict(Facts& facts, const Verdict& verdict) {
    if (!verdict.damage.empty()) {
        facts.push_back({"damage", verdict.damage});
    }
    facts.push_back({"leaked_clusters", verdict.leaked});
    facts.push_back({"repaired_clusters", verdict.repaired});
}

}  // namespace lunkit::qcow
