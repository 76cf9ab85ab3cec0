// SPDX-License-Identifier: Apache-2.0
#include "qcow/header.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "image_bytes.hpp"

namespace lunkit::qcow {
namespace {

using ::testing::HasSubstr;

TEST(Header, ReadsWhatAnImageSays) {
    ImageBytes image;
    const Result<Header> header = image.parse();
    ASSERT_TRUE(header) << header.error().what;
    EXPECT_EQ(1ULL << 30U, header->size);
    EXPECT_EQ(65536U, header->cluster_size());
    EXPECT_EQ(2U, header->l1_size);
    EXPECT_FALSE(header->backing_file);
}

TEST(Header, RefusesOtherMagic) {
    EXPECT_THAT(ImageBytes().put8(3, 0xfa).why(), HasSubstr("magic"));
}
TEST(Header, RefusesOtherVersionsByNumber) {
    for (const std::uint32_t version : {0U, 1U, 4U}) {
        EXPECT_THAT(ImageBytes().put32(4, version).why(),
                    HasSubstr("version " + std::to_string(version)));
    }
}
TEST(Header, RefusesClusterBitsOutsideOf9To21) {
    for (const std::uint32_t bits : {0U, 8U, 22U, 31U, 64U, UINT32_MAX}) {
        EXPECT_THAT(ImageBytes().put32(20, bits).why(), HasSubstr("cluster_bits"));
    }
}
TEST(Header, RefusesBadHeaderLength) {
    for (const std::uint32_t length : {0U, 72U, 103U, 105U, 65544U, UINT32_MAX & ~7U}) {
        EXPECT_THAT(ImageBytes().put32(100, length).why(), HasSubstr("header_length"));
    }
}
TEST(Header, NamesUnknownIncompatibleFeaturesByTheImagesOwnTable) {
    ImageBytes image;
    image.put64(72, 1ULL << 9U);
    std::string entry(48, '\0');
    entry[1] = 9;
    entry.replace(2, 9, "teleports");
    image.extension(104, 0x6803f857, entry);
    EXPECT_THAT(image.why(), HasSubstr("bit 9 ('teleports')"));
}
TEST(Header, RefusesUnknownIncompatibleFeaturesWithoutATable) {
    EXPECT_THAT(ImageBytes().put64(72, 1ULL << 63U).why(), HasSubstr("bit 63"));
}
TEST(Header, KeepsUnknownCompatibleAndAutoclearFeatures) {
    const Result<Header> header =
        ImageBytes().put64(80, 1ULL << 40U).put64(88, 1ULL << 41U).parse();
    ASSERT_TRUE(header);
    EXPECT_EQ(1ULL << 41U, header->autoclear_features);
}
TEST(Header, RefusesCompressionTypeAgainstItsBit) {
    EXPECT_THAT(ImageBytes().put32(100, 112).put8(104, 1).why(), HasSubstr("compression_type"));
    EXPECT_THAT(ImageBytes().put64(72, kCompressionType).why(), HasSubstr("compression_type"));
    EXPECT_THAT(ImageBytes().put64(72, kCompressionType).put32(100, 112).put8(104, 7).why(),
                HasSubstr("compression_type 7"));
}
TEST(Header, RefusesExtendedL2WithSmallClusters) {
    ImageBytes image;
    image.put64(72, kExtendedL2).put32(20, 13).put64(24, 1 << 20U);
    EXPECT_THAT(image.why(), HasSubstr("extended L2"));
}
TEST(Header, RefusesRefcountOrderAbove6) {
    EXPECT_THAT(ImageBytes().put32(96, 7).why(), HasSubstr("refcount_order"));
}
TEST(Header, RefusesTablesThatAreUnalignedOrOutsideOfTheFile) {
    EXPECT_THAT(ImageBytes().put64(40, 3 * 65536 + 512).why(), HasSubstr("l1_table_offset"));
    EXPECT_THAT(ImageBytes().put64(48, 65536 + 8).why(), HasSubstr("refcount_table_offset"));
    EXPECT_THAT(ImageBytes().put64(40, 4 * 65536).why(), HasSubstr("ends beyond"));
    EXPECT_THAT(ImageBytes().put64(48, 0xffffffffffff0000ULL).why(), HasSubstr("ends beyond"));
    EXPECT_THAT(ImageBytes().put64(40, 0x7fffffffffff0000ULL).why(), HasSubstr("ends beyond"));
}
TEST(Header, RefusesL1SizeTooSmallOrAboveTheLimit) {
    EXPECT_THAT(ImageBytes().put32(36, 1).why(), HasSubstr("l1_size 1 is too small"));
    EXPECT_THAT(ImageBytes().put32(36, (32U << 20U) / 8 + 1).why(), HasSubstr("32 MiB"));
    EXPECT_THAT(ImageBytes().put32(36, UINT32_MAX).why(), HasSubstr("32 MiB"));
}
TEST(Header, RefusesRefcountTableOfNoneOrTooMany) {
    EXPECT_THAT(ImageBytes().put32(56, 0).why(), HasSubstr("refcount_table_clusters is 0"));
    EXPECT_THAT(ImageBytes().put32(56, 129).why(), HasSubstr("8 MiB"));
    EXPECT_THAT(ImageBytes().put32(56, UINT32_MAX).why(), HasSubstr("8 MiB"));
}
TEST(Header, RefusesTooManySnapshotsAndTheirTableOutside) {
    EXPECT_THAT(ImageBytes().put32(60, 65537).put64(64, 2 * 65536).why(), HasSubstr("65536"));
    EXPECT_THAT(ImageBytes().put32(60, 1).put64(64, 5 * 65536).why(), HasSubstr("snapshots"));
}
TEST(Header, RefusesSizesThatCannotBe) {
    EXPECT_THAT(ImageBytes().put64(24, UINT64_MAX).why(), HasSubstr("too large"));
    EXPECT_THAT(ImageBytes().put64(24, INT64_MAX).why(), HasSubstr("too large"));
    EXPECT_THAT(ImageBytes().put64(24, INT64_MAX - 65536).why(), HasSubstr("too small"));
}
TEST(Header, RefusesTablesThatOverlapTheHeaderOrEachOther) {
    EXPECT_THAT(ImageBytes().put64(40, 0).why(), HasSubstr("overlaps the header"));
    EXPECT_THAT(ImageBytes().put64(40, 65536).why(), HasSubstr("overlap"));
    EXPECT_THAT(ImageBytes().put32(60, 1).put64(64, 3 * 65536).why(), HasSubstr("overlap"));
}
TEST(Header, ReadsBackingNameAndFormat) {
    ImageBytes image;
    const std::size_t end = image.extension(104, 0xe2792aca, "qcow2");
    image.put64(8, end + 8).put32(16, 9).put_text(end + 8, "base.disk");
    const Result<Header> header = image.parse();
    ASSERT_TRUE(header) << header.error().what;
    EXPECT_EQ("base.disk", header->backing_file);
    EXPECT_EQ("qcow2", header->backing_format);
}
TEST(Header, RefusesBackingNamesOutsideOfTheFirstClusterOrWithNul) {
    EXPECT_THAT(ImageBytes().put64(8, 65530).put32(16, 100).why(), HasSubstr("backing_file"));
    EXPECT_THAT(ImageBytes().put64(8, UINT64_MAX - 3).put32(16, 100).why(),
                HasSubstr("backing_file"));
    EXPECT_THAT(ImageBytes().put64(8, 512).put32(16, 1024).why(), HasSubstr("backing_file"));
    EXPECT_THAT(ImageBytes().put64(8, 8).put32(16, 4).why(), HasSubstr("backing_file"));
    EXPECT_THAT(ImageBytes().put64(8, 512).put32(16, 3).why(), HasSubstr("NUL"));
}
TEST(Header, RefusesExtensionsThatAreTooLongOrThereTwice) {
    ImageBytes image;
    image.put32(104, 0x12345678).put32(108, UINT32_MAX);
    EXPECT_THAT(image.why(), HasSubstr("0x12345678"));
    ImageBytes twice;
    twice.extension(twice.extension(104, 0x12345678, "abc"), 0x12345678, "abc");
    EXPECT_THAT(twice.why(), HasSubstr("there twice"));
}
TEST(Header, RefusesBitmapsExtensionOfAnotherShape) {
    ImageBytes short_one;
    short_one.extension(104, 0x23852875, std::string(23, '\1'));
    EXPECT_THAT(short_one.why(), HasSubstr("23 bytes"));
    ImageBytes none;
    none.extension(104, 0x23852875, std::string(24, '\0'));
    EXPECT_THAT(none.why(), HasSubstr("nb_bitmaps"));
}
TEST(Header, RefusesEncryptionByName) {
    EXPECT_THAT(ImageBytes().put32(32, 1).why(), HasSubstr("AES-CBC"));
    EXPECT_THAT(ImageBytes().put32(32, 2).why(), HasSubstr("contradict"));
    EXPECT_THAT(ImageBytes().put32(32, 3).why(), HasSubstr("crypt_method 3"));
    ImageBytes luks;
    luks.put32(32, 2).extension(104, 0x0537be77, std::string(16, '\0'));
    EXPECT_THAT(luks.why(), HasSubstr("encryption header's length 0"));
    ImageBytes lone;
    lone.extension(104, 0x0537be77, std::string(16, '\0'));
    EXPECT_THAT(lone.why(), HasSubstr("contradict"));
}
TEST(Header, KeepsTheEncryptionHeaderInPlacesOfItsOwn) {
    const auto luks_at = [](std::uint64_t offset, std::uint64_t length) {
        ImageBytes image;
        image.put32(32, 2).extension(104, 0x0537be77, std::string(16, '\0'));
        image.put64(112, offset).put64(120, length);
        return image;
    };
    constexpr std::uint64_t kCluster = ImageBytes::kCluster;
    EXPECT_EQ("", luks_at(2 * kCluster, kCluster).why());
    EXPECT_THAT(luks_at(2 * kCluster + 512, 512).why(), HasSubstr("start of a cluster"));
    EXPECT_THAT(luks_at(3 * kCluster, kCluster).why(), HasSubstr("overlap"));
    EXPECT_THAT(luks_at(0, kCluster).why(), HasSubstr("overlaps the header"));
    EXPECT_THAT(luks_at(2 * kCluster, 9 * kCluster).why(), HasSubstr("beyond the file"));
    EXPECT_THAT(luks_at(2 * kCluster, UINT64_MAX).why(), HasSubstr("16 MiB"));
    EXPECT_THAT(luks_at(2 * kCluster, kCluster).put64(24, 1000).why(), HasSubstr("512"));
    ImageBytes odd;
    odd.put32(32, 2).extension(104, 0x0537be77, std::string(24, '\0'));
    EXPECT_THAT(odd.why(), HasSubstr("24 bytes"));
}
TEST(Header, RefusesAnExternalDataFileWithoutAName) {
    EXPECT_THAT(ImageBytes().put64(72, kExternalDataFile).why(), HasSubstr("data file"));
}
TEST(Header, Version2IgnoresWhatOnlyVersion3Has) {
    ImageBytes image;
    image.put32(4, 2).put32(76, 0).put32(96, 77).put64(80, UINT64_MAX);
    const Result<Header> header = image.parse();
    ASSERT_TRUE(header) << header.error().what;
    EXPECT_EQ(4U, header->refcount_order);
    EXPECT_EQ(0U, header->compatible_features);
}
TEST(Header, RefusesFilesThatEndWithinIt) {
    ImageBytes image;
    for (const std::size_t length : {0U, 3U, 8U, 71U, 103U}) {
        EXPECT_FALSE(parse_header(std::span(image.bytes()).first(length), length)) << length;
    }
}
TEST(Header, CountsL1EntriesWithoutOverflow) {
    EXPECT_EQ(2U, l1_entries_for(1ULL << 30U, 16, 8));
    EXPECT_EQ(3U, l1_entries_for((1ULL << 30U) + 1, 16, 8));
    EXPECT_EQ(0U, l1_entries_for(0, 9, 16));
    EXPECT_EQ(1ULL << 24U, l1_entries_for(1ULL << 63U, 21, 8));
}

}  // namespace
}  // namespace lunkit::qcow
