// SPDX-License-Identifier: Apache-2.0
// The small parts: counters, the cluster set, names, options, snapshots, inflating.
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "image_bytes.hpp"
#include "qcow/bitmap_directory.hpp"
#include "qcow/cluster_set.hpp"
#include "qcow/confined_path.hpp"
#include "qcow/frozen_clusters.hpp"
#include "qcow/inflate.hpp"
#include "qcow/options.hpp"
#include "qcow/refcount_width.hpp"
#include "qcow/snapshot_table.hpp"

namespace lunkit::qcow {
namespace {

using ::testing::HasSubstr;

TEST(RefcountWidth, EachWidthKeepsEachCounterApart) {
    for (std::uint32_t order = 0; order <= 6; ++order) {
        std::array<std::byte, 64> block{};
        const std::uint64_t counters = block.size() * 8 >> order;
        for (std::uint64_t i = 0; i < counters; i += 2) {
            store_refcount(block.data(), order, i, max_refcount(order));
        }
        for (std::uint64_t i = 0; i < counters; ++i) {
            EXPECT_EQ(i % 2 == 0 ? max_refcount(order) : 0, load_refcount(block.data(), order, i));
        }
        store_refcount(block.data(), order, 2, 0);
        EXPECT_EQ(0U, load_refcount(block.data(), order, 2));
        EXPECT_EQ(max_refcount(order), load_refcount(block.data(), order, 4));
    }
}
TEST(RefcountWidth, NarrowCountersBeginAtTheLeastSignificantBit) {
    std::array<std::byte, 1> block{};
    store_refcount(block.data(), 0, 0, 1);
    EXPECT_EQ(std::byte{1}, block[0]);
    store_refcount(block.data(), 1, 3, 2);
    EXPECT_EQ(std::byte{0x81}, block[0]);
}

TEST(ClusterSet, AgreesWithAStandardSet) {
    std::mt19937_64 random(7);
    ClusterSet set;
    std::set<std::uint64_t> model;
    for (int i = 0; i < 20000; ++i) {
        const std::uint64_t cluster = random() % 500 + 1;
        if (random() % 2 == 0) {
            EXPECT_EQ(model.insert(cluster).second, set.insert(cluster));
        } else {
            model.erase(cluster);
            set.erase(cluster);
        }
        ASSERT_EQ(model.size(), set.size());
        const std::uint64_t other = random() % 500 + 1;
        ASSERT_EQ(model.contains(other), set.contains(other));
    }
}

TEST(ConfinedPath, ResolvesNamesBeneathTheFolder) {
    EXPECT_EQ("base.raw", *confined_path("/images", "", "base.raw"));
    EXPECT_EQ("base.raw", *confined_path("/images", "vm", "../base.raw"));
    EXPECT_EQ("vm/base.raw", *confined_path("/images", "vm", "./base.raw"));
    EXPECT_EQ("a/base.raw", *confined_path("/images", "vm", "/images//a/base.raw"));
}
TEST(ConfinedPath, RefusesWhatLeadsOut) {
    EXPECT_FALSE(confined_path("/images", "", "../etc/shadow"));
    EXPECT_FALSE(confined_path("/images", "vm", "../../x"));
    EXPECT_FALSE(confined_path("/images", "", "/etc/shadow"));
    EXPECT_FALSE(confined_path("/images", "", "/images2/x"));
    EXPECT_FALSE(confined_path("/images", "", "/images/../etc/shadow"));
}
TEST(ConfinedPath, RefusesProtocols) {
    EXPECT_FALSE(confined_path("/images", "", "json:{\"driver\":\"file\"}"));
    EXPECT_FALSE(confined_path("/images", "", "nbd://host/x"));
    EXPECT_TRUE(confined_path("/images", "", "./with:colon"));
}

TEST(Options, HaveDefaults) {
    const Result<QcowOptions> options = parse_options("/images/a.qcow2");
    ASSERT_TRUE(options) << options.error().what;
    EXPECT_EQ("/images/a.qcow2", options->path);
    EXPECT_EQ("/images", options->backing_folder);
    EXPECT_EQ(32U << 20U, options->cache_bytes);
    EXPECT_FALSE(options->read_only);
}
TEST(Options, ASnapshotIsReadOnly) {
    EXPECT_TRUE(parse_options("/a;snapshot=1")->read_only);
}
TEST(Options, RefuseWhatTheyDoNotKnow) {
    EXPECT_FALSE(parse_options("relative.qcow2"));
    EXPECT_FALSE(parse_options("/a;cahce=1M"));
    EXPECT_FALSE(parse_options("/a;cache=1"));
    EXPECT_FALSE(parse_options("/a;backing=anywhere"));
    EXPECT_FALSE(parse_options("/a;readonly=maybe"));
}

class Snapshots : public ::testing::Test {
  protected:
    Snapshots() {
        header_.nb_snapshots = 1;
        header_.size = 1ULL << 30U;
        table_.put64(0, 0x10000).put32(8, 2).put16(12, 1).put16(14, 4).put32(36, 16);
        table_.put64(48, 1ULL << 30U).put_text(56, "1home");
    }
    Result<SnapshotTable> parse(std::size_t length = 64) {
        return parse_snapshots(std::span(table_.bytes()).first(length), header_, 0x40000);
    }
    Header header_;
    ImageBytes table_;
};
TEST_F(Snapshots, AreFoundByIdAndByName) {
    const Result<SnapshotTable> table = parse();
    ASSERT_TRUE(table) << table.error().what;
    EXPECT_EQ(64U, table->bytes);
    EXPECT_NE(nullptr, find_snapshot(*table, "1"));
    EXPECT_NE(nullptr, find_snapshot(*table, "home"));
    EXPECT_EQ(nullptr, find_snapshot(*table, "2"));
}
TEST_F(Snapshots, TablesThatEndEarlyAreRefused) {
    for (const std::size_t length : {0U, 39U, 60U}) {
        EXPECT_FALSE(parse(length)) << length;
    }
}
TEST_F(Snapshots, EntriesThatCannotBeAreRefused) {
    table_.put32(36, 1025);
    EXPECT_FALSE(parse());
    table_.put32(36, 16).put64(0, 0x10200);
    EXPECT_FALSE(parse());
    table_.put64(0, 0x40000);
    EXPECT_FALSE(parse());
    table_.put64(0, 0x10000).put64(48, 1ULL << 40U);
    EXPECT_FALSE(parse());
    table_.put64(48, UINT64_MAX);
    EXPECT_FALSE(parse());
}

TEST(BitmapDirectory, MarksEachEntryAndNothingElse) {
    std::vector<std::byte> directory(64);
    store_be(&directory[18], std::uint16_t{3});       // name_size: 27 bytes, padded to 32
    store_be(&directory[32 + 18], std::uint16_t{8});  // 32 bytes
    directory[24] = std::byte{'x'};
    std::vector<std::byte> expected = directory;
    expected[15] = std::byte{1};
    expected[32 + 15] = std::byte{1};
    EXPECT_TRUE(mark_bitmaps_in_use(directory, 2));
    EXPECT_EQ(expected, directory);
}
TEST(BitmapDirectory, IsRefusedWhenItEndsWithinAnEntry) {
    ImageBytes image;
    image.put32(20, UINT32_MAX).put16(18, UINT16_MAX);
    EXPECT_FALSE(mark_bitmaps_in_use(std::span(image.bytes()).first(64), 1));
    EXPECT_FALSE(mark_bitmaps_in_use(std::span(image.bytes()).first(23), 1));
}

std::vector<std::byte> deflated(const std::vector<std::byte>& plain) {
    std::vector<std::byte> out(plain.size() + 1024);
    z_stream stream{};
    EXPECT_EQ(Z_OK, deflateInit2(&stream, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY));
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(plain.data()));
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(Z_STREAM_END, deflate(&stream, Z_FINISH));
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

TEST(Inflate, FillsAClusterWhateverFollowsTheData) {
    const std::vector<std::byte> plain(65536, std::byte{7});
    std::vector<std::byte> compressed = deflated(plain);
    compressed.resize(compressed.size() + 300, std::byte{0xee});
    std::vector<std::byte> cluster(65536);
    EXPECT_EQ(0, inflate_cluster(CompressionType::kDeflate, compressed, cluster));
    EXPECT_EQ(plain, cluster);
}
TEST(Inflate, RefusesDataThatIsTooShortOrDamaged) {
    std::vector<std::byte> cluster(65536);
    EXPECT_EQ(-EIO, inflate_cluster(CompressionType::kDeflate,
                                    deflated(std::vector<std::byte>(65535)), cluster));
    std::vector<std::byte> compressed = deflated(std::vector<std::byte>(65536, std::byte{3}));
    compressed.resize(compressed.size() / 2);
    EXPECT_EQ(-EIO, inflate_cluster(CompressionType::kDeflate, compressed, cluster));
    const std::vector<std::byte> noise(512, std::byte{0xff});
    EXPECT_EQ(-EIO, inflate_cluster(CompressionType::kDeflate, noise, cluster));
    EXPECT_EQ(-EIO, inflate_cluster(CompressionType::kZstd, noise, cluster));
}
TEST(Inflate, ZstdMayComeInSeveralFrames) {
    const std::vector<std::byte> half(32768, std::byte{9});
    std::vector<std::byte> compressed(2 * ZSTD_compressBound(half.size()));
    std::size_t length =
        ZSTD_compress(compressed.data(), compressed.size(), half.data(), half.size(), 3);
    length += ZSTD_compress(compressed.data() + length, compressed.size() - length, half.data(),
                            half.size(), 3);
    compressed.resize(length + 100);
    std::vector<std::byte> cluster(65536);
    EXPECT_EQ(0, inflate_cluster(CompressionType::kZstd, compressed, cluster));
    EXPECT_EQ(std::vector<std::byte>(65536, std::byte{9}), cluster);
}

TEST(FrozenClusters, NeighboursTakeOneRangeInWhateverOrderTheyCome) {
    constexpr std::uint64_t kClusters = 100'000;
    FrozenClusters frozen;
    for (std::uint64_t i = 0; i < kClusters; ++i) {
        frozen.add({kClusters - i, true});
    }
    EXPECT_GT(5'000U, frozen.ranges());
    frozen.add({1, true});  // a second pointer
    std::vector<int> times(kClusters + 2);
    for (UnlinkedClusters some = frozen.take(1000); !some.empty(); some = frozen.take(1000)) {
        EXPECT_GE(1000U, some.size());
        for (const Unlinked& unlinked : some) {
            ++times[unlinked.cluster];
        }
    }
    EXPECT_EQ(2, times[1]);
    EXPECT_EQ(kClusters + 1, static_cast<std::uint64_t>(std::ranges::count_if(
                                 times, [](int count) { return count == 1; })) +
                                 2);
}

}  // namespace
}  // namespace lunkit::qcow
