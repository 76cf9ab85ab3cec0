// SPDX-License-Identifier: Apache-2.0
#include "qcow/l2_entry.hpp"

#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lunkit::qcow {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kFile = 16U << 20U;
constexpr std::uint64_t kCopied = 1ULL << 63U;
constexpr std::uint64_t kCompressed = 1ULL << 62U;

Geometry geometry(std::uint32_t version = 3, bool extended = false) {
    Header header;
    header.version = version;
    header.incompatible_features = extended ? std::uint64_t{kExtendedL2} : 0;
    return Geometry(header);
}
std::string why(const Geometry& of, L2Entry entry) {
    const Result<ClusterState> state = decode(of, entry, kFile);
    return state ? "" : state.error().what;
}

TEST(L2Entry, HasFourStates) {
    const Geometry v3 = geometry();
    EXPECT_EQ(Kind::kUnallocated, decode(v3, {0, 0}, kFile)->kind_of(0));
    EXPECT_EQ(Kind::kZero, decode(v3, {1, 0}, kFile)->kind_of(0));
    EXPECT_EQ(Kind::kZero, decode(v3, {0x20001 | kCopied, 0}, kFile)->kind_of(0));
    EXPECT_EQ(Kind::kData, decode(v3, {0x20000 | kCopied, 0}, kFile)->kind_of(0));
}
TEST(L2Entry, OwnsItsHostClusterOnlyIfCopied) {
    const Geometry v3 = geometry();
    EXPECT_TRUE(decode(v3, {0x20000 | kCopied, 0}, kFile)->owns_host_cluster());
    EXPECT_FALSE(decode(v3, {0x20000, 0}, kFile)->owns_host_cluster());
    EXPECT_FALSE(decode(v3, {1, 0}, kFile)->owns_host_cluster());
}
TEST(L2Entry, RefusesReservedBits) {
    for (const unsigned bit : {1U, 8U, 56U, 61U}) {
        EXPECT_THAT(why(geometry(), {0x20000 | 1ULL << bit, 0}), HasSubstr("reserved")) << bit;
    }
    EXPECT_THAT(why(geometry(2), {0x20001, 0}), HasSubstr("reserved"));
    EXPECT_THAT(why(geometry(3, true), {0x20001, 0}), HasSubstr("reserved"));
}
TEST(L2Entry, RefusesOffsetsThatCannotBe) {
    EXPECT_THAT(why(geometry(), {0x20200, 0}), HasSubstr("start"));
    EXPECT_THAT(why(geometry(), {kCopied, 0}), HasSubstr("no cluster"));
    EXPECT_THAT(why(geometry(), {kFile + 0x10000, 0}), HasSubstr("beyond"));
}
TEST(L2Entry, CompressedLengthComesFromSectorsAndOffset) {
    // Cluster bits 16: 54 bits of offset, then the number of further sectors.
    const std::uint64_t word = kCompressed | (3ULL << 54U) | 0x30123;
    const Result<ClusterState> state = decode(geometry(), {word, 0}, kFile);
    ASSERT_TRUE(state) << state.error().what;
    EXPECT_EQ(Kind::kCompressed, state->kind_of(0));
    EXPECT_EQ(0x30123U, state->host_offset);
    EXPECT_EQ(4U * 512 - 0x123, state->compressed_length);
}
TEST(L2Entry, RefusesCompressedEntriesThatCannotBe) {
    EXPECT_THAT(why(geometry(), {kCompressed | kCopied | 0x30000, 0}), HasSubstr("COPIED"));
    EXPECT_THAT(why(geometry(), {kCompressed | (kFile + 0x20000), 0}), HasSubstr("beyond"));
    EXPECT_THAT(why(geometry(), {kCompressed | 0x200, 0}), HasSubstr("invalid offset"));
    EXPECT_THAT(why(geometry(3, true), {kCompressed | 0x30000, 1}), HasSubstr("bitmap"));
}
TEST(L2Entry, ExtendedEntriesHaveAStatePerSubcluster) {
    const L2Entry entry{0x20000 | kCopied, 1ULL << 34U | 1U};
    const Result<ClusterState> state = decode(geometry(3, true), entry, kFile);
    ASSERT_TRUE(state) << state.error().what;
    EXPECT_EQ(Kind::kData, state->kind_of(0));
    EXPECT_EQ(Kind::kUnallocated, state->kind_of(1));
    EXPECT_EQ(Kind::kZero, state->kind_of(2));
}
TEST(L2Entry, RefusesSubclusterBitmapsThatContradict) {
    EXPECT_THAT(why(geometry(3, true), {0x20000, 1ULL << 32U | 1U}), HasSubstr("both"));
    EXPECT_THAT(why(geometry(3, true), {0, 1}), HasSubstr("no cluster"));
}
TEST(L2Entry, EncodesWhatItDecodes) {
    for (const bool extended : {false, true}) {
        const Geometry of = geometry(3, extended);
        const std::array<L2Entry, 3> entries = {
            L2Entry{0, 0}, L2Entry{0x20000 | kCopied, extended ? 0xffff0000ULL : 0},
            extended ? L2Entry{0, 0xffffffff00000000ULL} : L2Entry{1, 0}};
        for (const L2Entry& entry : entries) {
            const Result<ClusterState> state = decode(of, entry, kFile);
            ASSERT_TRUE(state) << state.error().what;
            EXPECT_EQ(entry, encode(of, *state));
        }
    }
}

}  // namespace
}  // namespace lunkit::qcow
