// SPDX-License-Identifier: Apache-2.0
// Hostile images: good ones with one thing patched. Where a check belongs to opening, open() fails
// and the message names the field; where damage shows only on access, the access fails, and nothing
// else happens. Nothing ever crashes.
#include <algorithm>
#include <functional>
#include <random>
#include <regex>

#include "rig/big_endian.hpp"
#include "rig/image_kind.hpp"
#include "rig/plugin_test.hpp"

namespace lunkit::qcow_rig {
namespace {

using Patch = std::function<void(Bytes& image)>;

Patch put32(std::size_t at, std::uint32_t value) {
    return [=](Bytes& image) { store_be<std::uint32_t>(&image[at], value); };
}
Patch put64(std::size_t at, std::uint64_t value) {
    return [=](Bytes& image) { store_be<std::uint64_t>(&image[at], value); };
}
/// Sets bits in a field of the header.
Patch or64(std::size_t at, std::uint64_t bits) {
    return [=](Bytes& image) {
        store_be<std::uint64_t>(&image[at], load_be<std::uint64_t>(&image[at]) | bits);
    };
}
Patch both(const Patch& one, const Patch& other) {
    return [=](Bytes& image) {
        one(image);
        other(image);
    };
}

/// Where things are in the image under the knife; a table entry of guest offset 0.
std::uint64_t l1_at(const Bytes& image) {
    return read_layout(image)->l1.offset;
}
std::uint64_t l2_at(const Bytes& image) {
    return entry_at(image, l1_at(image)) & kOffsetMask;
}
std::uint64_t refcount_table_at(const Bytes& image) {
    return read_layout(image)->refcount_table.offset;
}
std::uint64_t snapshots_at(const Bytes& image) {
    return read_layout(image)->snapshots_offset;
}
using Where = std::uint64_t (*)(const Bytes& image);
Patch put64_in(Where table, std::uint64_t value) {
    return [=](Bytes& image) { store_be<std::uint64_t>(&image[table(image)], value); };
}
Patch or64_in(Where table, std::uint64_t bits) {
    return [=](Bytes& image) {
        std::byte* const entry = &image[table(image)];
        store_be<std::uint64_t>(entry, load_be<std::uint64_t>(entry) | bits);
    };
}
/// Replaces the header's extensions (up to 104 or what header_length says) by one, or two alike.
Patch extension(std::uint32_t type, std::uint32_t length, const Bytes& content, int times = 1) {
    return [=](Bytes& image) {
        std::size_t at = load_be<std::uint32_t>(&image[100]);
        for (int i = 0; i < times; ++i) {
            store_be<std::uint32_t>(&image[at], type);
            store_be<std::uint32_t>(&image[at + 4], length);
            std::ranges::copy(content, image.begin() + static_cast<std::ptrdiff_t>(at + 8));
            at += 8 + (content.size() + 7) / 8 * 8;
        }
        store_be<std::uint64_t>(&image[at], 0);
    };
}
Bytes bitmaps_extension(std::uint32_t count, std::uint32_t reserved) {
    Bytes content(24);
    store_be<std::uint32_t>(content.data(), count);
    store_be<std::uint32_t>(&content[4], reserved);
    store_be<std::uint64_t>(&content[8], 64);
    store_be<std::uint64_t>(&content[16], 0x10000);
    return content;
}
/// A backing file name of `name`, and of format `format` ("" = none is given).
Patch backing(const std::string& name, const std::string& format) {
    return [=](Bytes& image) {
        const auto bytes = [](const std::string& text) {
            const auto* const from = reinterpret_cast<const std::byte*>(text.data());
            return Bytes(from, from + text.size());
        };
        if (format.empty()) {
            extension(0, 0, {})(image);
        } else {
            extension(0xe2792aca, static_cast<std::uint32_t>(format.size()), bytes(format))(image);
        }
        constexpr std::size_t kNameAt = 4096;
        std::ranges::copy(bytes(name), image.begin() + kNameAt);
        store_be<std::uint64_t>(&image[8], kNameAt);
        store_be<std::uint32_t>(&image[16], static_cast<std::uint32_t>(name.size()));
    };
}

struct Refused {
    const char* name;
    const char* kind;
    Patch patch;
    const char* message;  ///< a regular expression that the message must match somewhere
};

void PrintTo(const Refused& refused, std::ostream* out) {
    *out << refused.name;
}

constexpr std::uint64_t kFar = 1ULL << 40;
constexpr const char* kTable = "l1_table|L1";
constexpr const char* kRefcounts = "refcount_table|refcount table|refcount";

// The numbers are those of the list of checks in the qcow2 facts: one row or more for each.
const std::vector<Refused>& refused() {
    static const std::vector<Refused> kRows = {
        {"C01Magic", "v3", put32(0, 0x51464900), "magic|qcow2"},
        {"C01Version4", "v3", put32(4, 4), "version"},
        {"C01Version0", "v3", put32(4, 0), "version"},
        {"C02ClusterBits8", "v3", put32(20, 8), "cluster_bits|cluster size"},
        {"C02ClusterBits22", "v3", put32(20, 22), "cluster_bits|cluster size"},
        {"C02ClusterBits64", "v3", put32(20, 64), "cluster_bits|cluster size"},
        {"C03HeaderLengthShort", "v3", put32(100, 96), "header_length"},
        {"C03HeaderLengthOdd", "v3", put32(100, 105), "header_length"},
        {"C03HeaderLengthHuge", "v3", put32(100, 0x10008), "header_length"},
        {"C04UnknownIncompatible", "v3", or64(72, 1ULL << 40), "incompatible"},
        {"C04UnknownIncompatibleHigh", "v3", or64(72, 1ULL << 63), "incompatible"},
        {"C05CompressionBitWithoutType", "v3", or64(72, 8), "compression_type|compression"},
        {"C05CompressionTypeWithoutBit", "v3", [](Bytes& i) { i[104] = std::byte{1}; },
         "compression_type|compression"},
        {"C05CompressionTypeUnknown", "v3",
         both(or64(72, 8), [](Bytes& i) { i[104] = std::byte{7}; }),
         "compression_type|compression"},
        {"C06ExtendedL2SmallClusters", "c4k", or64(72, 16), "[eE]xtended"},
        {"C07RefcountOrder7", "v3", put32(96, 7), "refcount_order"},
        {"C08L1Unaligned", "v3", put64(40, 0x30200), kTable},
        {"C08L1BeyondEnd", "v3", put64(40, kFar), kTable},
        {"C08L1Overflow", "v3", put64(40, ~0xffffULL), kTable},
        {"C08RefcountTableUnaligned", "v3", put64(48, 0x10200), kRefcounts},
        {"C08RefcountTableBeyondEnd", "v3", put64(48, kFar), kRefcounts},
        {"C08SnapshotsUnaligned", "snapshot", put64(64, 0x200), "snapshot"},
        {"C08SnapshotsBeyondEnd", "snapshot", put64(64, kFar), "snapshot"},
        {"C09L1TooLarge", "v3", put32(36, 0x400001), "l1_size|L1"},
        {"C09L1TooSmall", "v3", put32(36, 0), "l1_size|L1"},
        {"C10RefcountTableNone", "v3", put32(56, 0), kRefcounts},
        {"C10RefcountTableTooLarge", "v3", put32(56, 129), kRefcounts},
        {"C11SnapshotsTooMany", "snapshot", put32(60, 65537), "nb_snapshots|snapshot"},
        {"C11SnapshotExtraTooLong", "snapshot",
         [](Bytes& i) { store_be<std::uint32_t>(&i[snapshots_at(i) + 36], 1025); }, "extra"},
        {"C11SnapshotL1Unaligned", "snapshot", put64_in(snapshots_at, 0x200), "snapshot"},
        {"C11SnapshotL1BeyondEnd", "snapshot", put64_in(snapshots_at, kFar), "snapshot"},
        {"C11SnapshotL1TooLarge", "snapshot",
         [](Bytes& i) { store_be<std::uint32_t>(&i[snapshots_at(i) + 8], 0x400001); }, "snapshot"},
        {"C12BackingNameTooLong", "v3", both(put64(8, 0x200), put32(16, 1024)), "backing"},
        {"C12BackingNameOutside", "v3", both(put64(8, 0xfff0), put32(16, 100)), "backing"},
        {"C12BackingNameWithNul", "v3", backing(std::string("a\0b", 3), "raw"), "backing|NUL"},
        {"C13ExtensionTooLong", "v3", extension(0x12345678, 0x7fffffff, {}), "extension"},
        {"C13ExtensionTwice", "v3", extension(0xe2792aca, 3, Bytes(3, std::byte{'r'}), 2),
         "extension"},
        {"C13BitmapsShort", "v3", extension(0x23852875, 16, Bytes(16)), "bitmap|0x23852875"},
        {"C13BitmapsReserved", "v3", extension(0x23852875, 24, bitmaps_extension(1, 9)),
         "bitmap|0x23852875"},
        {"C13BitmapsNone", "v3", extension(0x23852875, 24, bitmaps_extension(0, 0)),
         "bitmap|0x23852875"},
        {"C13BitmapsTooMany", "v3", extension(0x23852875, 24, bitmaps_extension(65536, 0)),
         "bitmap|0x23852875"},
        {"C14LuksWithoutMethod", "v3", extension(0x0537be77, 16, Bytes(16)),
         "crypt_method|encryption"},
        {"C14MethodWithoutLuks", "v3", put32(32, 2), "crypt_method|encryption"},
        {"C14LegacyAes", "v3", put32(32, 1), "crypt_method|AES|encryption"},
        {"C14MethodUnknown", "v3", put32(32, 3), "crypt_method|encryption"},
        {"C15SizeHuge", "v3", put64(24, 1ULL << 63), "size"},
        {"C15SizeOverflow", "v3", put64(24, ~511ULL), "size"},
        {"C15SizeBeyondL1", "v3", put64(24, 1ULL << 50), "size"},
        {"C16L1OverHeader", "v3", put64(40, 0), kTable},
        {"C16L1OverRefcountTable", "v3",
         [](Bytes& i) { store_be<std::uint64_t>(&i[40], refcount_table_at(i)); }, "overlap"},
        {"C16SnapshotsOverL1", "snapshot",
         [](Bytes& i) { store_be<std::uint64_t>(&i[64], l1_at(i)); }, "overlap|snapshot"},
        {"C17RefcountTableEntryReserved", "v3", or64_in(refcount_table_at, 8), kRefcounts},
        {"C17RefcountTableEntryBeyondEnd", "v3", put64_in(refcount_table_at, kFar), kRefcounts},
        {"C21BackingLoop", "v3", backing("disk.qcow2", "qcow2"), "own backing|loop|backing"},
        {"C21BackingWithoutFormat", "v3", backing("base.raw", ""), "format"},
        {"C21BackingJson", "v3", backing("json:{\"driver\":\"null-co\"}", "raw"),
         "backing|protocol|json"},
        {"C21BackingNbd", "v3", backing("nbd:localhost:10809", "raw"), "backing|protocol|nbd"},
        {"C21BackingAbsolute", "v3", backing("/etc/passwd", "raw"), "outside|backing"},
        {"C21BackingParent", "v3", backing("../../etc/passwd", "raw"), "outside|backing"},
        {"C21BackingMissing", "v3", backing("nothing.raw", "raw"), "nothing.raw"},
        {"C22DataFileWithoutName", "v3", or64(72, 4), "data file"},
        {"C22DataFileAndSnapshots", "data-file", put32(60, 1), "data file|snapshot"},
        {"C22RawDataFileAndBacking", "data-file-backing", or64(88, 2), "data file"},
        {"C25CorruptBitReadWrite", "v3", or64(72, 2), "corrupt"},
    };
    return kRows;
}

class HostileTest : public PluginTest {
  protected:
    void build(const char* kind, const Patch& patch) {
        auto built = BuiltImage::build(*find_kind(kind));
        ASSERT_TRUE(built) << built.error().what;
        image_ = std::move(*built);
        auto content = read_file(image_->path());
        ASSERT_TRUE(content);
        patch(*content);
        ASSERT_TRUE(write_file(image_->path(), *content));
    }
    Result<std::unique_ptr<Subject>> open(bool read_only = false) {
        return Subject::open(entry(), host_,
                             {.config = image_->config() + (read_only ? ";readonly=on" : ""),
                              .read_only = read_only});
    }
    int read_error(Subject& subject, std::uint64_t offset) {
        Bytes data(kSector);
        const Status status = subject.run(Verb::kRead, offset, data);
        return status ? 0 : status.error().code;
    }
    int write_error(Subject& subject, std::uint64_t offset) {
        Bytes data(kSector, std::byte{1});
        const Status status = subject.run(Verb::kWrite, offset, data);
        return status ? 0 : status.error().code;
    }

    RecordingHost host_{1, nullptr};
    std::unique_ptr<BuiltImage> image_;
};

class HostileHeader : public HostileTest, public testing::WithParamInterface<Refused> {};

TEST_P(HostileHeader, IsRefusedByName) {
    build(GetParam().kind, GetParam().patch);
    ASSERT_FALSE(HasFatalFailure());
    const auto subject = open();
    ASSERT_FALSE(subject) << "it was opened";
    EXPECT_TRUE(std::regex_search(subject.error().what, std::regex(GetParam().message)))
        << "the message does not name the field: " << subject.error().what;
}

INSTANTIATE_TEST_SUITE_P(Check, HostileHeader, testing::ValuesIn(refused()),
                         [](const auto& made) { return std::string(made.param.name); });

/// Damage that only an access to guest offset 0 meets.
struct Damaged {
    const char* name;
    const char* kind;
    Patch patch;
    std::uint64_t guest = 0;
};

void PrintTo(const Damaged& damaged, std::ostream* out) {
    *out << damaged.name;
}

const std::vector<Damaged>& damaged() {
    static const std::vector<Damaged> kRows = {
        {"C17L1EntryReserved", "v3", or64_in(l1_at, 1)},
        {"C17L1EntryUnaligned", "v3", or64_in(l1_at, 0x200)},
        {"C17L1EntryBeyondEnd", "v3", put64_in(l1_at, kFar | kCopied)},
        {"C17L1EntryCopiedWithoutOffset", "v3", put64_in(l1_at, kCopied)},
        {"C17L2EntryReserved", "v3", or64_in(l2_at, 1ULL << 58)},
        {"C17L2EntryUnaligned", "v3", or64_in(l2_at, 0x200)},
        {"C17L2EntryBeyondEnd", "v3", put64_in(l2_at, kFar | kCopied)},
        {"C17L2EntryCopiedWithoutOffset", "v3", put64_in(l2_at, kCopied)},
        {"C18CompressedBeyondEnd", "zlib", put64_in(l2_at, kCompressed | kFar)},
        {"C18CompressedCopied", "zlib", or64_in(l2_at, kCopied)},
        {"C18CompressedGarbage", "zlib",
         [](Bytes& i) {
             const Place place = compressed_place(*read_layout(i), entry_at(i, l2_at(i)));
             std::fill_n(i.begin() + static_cast<std::ptrdiff_t>(place.offset), 64,
                         std::byte{0xa5});
         }},
        {"C18CompressedWithDataFile", "data-file", put64_in(l2_at, kCompressed | 0x50000)},
        {"C22DataFileEntryElsewhere", "data-file", put64_in(l2_at, 0x10000 | kCopied)},
        {"C19SubclusterBoth", "extl2",
         [](Bytes& i) { store_be<std::uint64_t>(&i[l2_at(i) + 8], ~0ULL); }},
    };
    return kRows;
}

class HostileTable : public HostileTest, public testing::WithParamInterface<Damaged> {};

TEST_P(HostileTable, FailsTheAccessOrTheOpen) {
    build(GetParam().kind, GetParam().patch);
    ASSERT_FALSE(HasFatalFailure());
    const auto subject = open();
    if (!subject) {
        EXPECT_FALSE(subject.error().what.empty());
        return;
    }
    EXPECT_EQ(EIO, read_error(**subject, 40 * kSector));
    EXPECT_NE(0, write_error(**subject, 40 * kSector));
    (*subject)->close();
}

INSTANTIATE_TEST_SUITE_P(Check, HostileTable, testing::ValuesIn(damaged()),
                         [](const auto& made) { return std::string(made.param.name); });

/// A data cluster of the guest that is in truth metadata: a write through it would be the end.
TEST_F(HostileTest, C17DataClusterOverMetadataIsNotWritten) {
    for (const Where target :
         {+[](const Bytes&) { return std::uint64_t{0}; }, +refcount_table_at, +l1_at, +l2_at}) {
        build("v3", [&](Bytes& image) {
            const std::uint64_t at = target(image) == 0 ? l2_at(image) : target(image);
            store_be<std::uint64_t>(&image[l2_at(image)], at | kCopied);
        });
        ASSERT_FALSE(HasFatalFailure());
        const auto before = read_file(image_->path());
        const auto subject = open();
        if (subject) {
            EXPECT_NE(0, write_error(**subject, 40 * kSector));
            (*subject)->close();
        }
        const auto after = read_file(image_->path());
        ASSERT_TRUE(before && after);
        // The header may have got its corrupt bit, nothing else has changed.
        EXPECT_TRUE(std::ranges::equal(std::span(*before).subspan(104),
                                       std::span(*after).subspan(104, before->size() - 104)));
    }
}

TEST_F(HostileTest, C20AllocationNeverHandsOutTheHeader) {
    build("v3", [](Bytes& image) {
        const std::uint64_t block = entry_at(image, refcount_table_at(image));
        std::fill_n(image.begin() + static_cast<std::ptrdiff_t>(block), 65536, std::byte{});
    });
    ASSERT_FALSE(HasFatalFailure());
    const auto before = read_file(image_->path());
    const auto subject = open();
    if (subject) {
        for (std::uint64_t offset = 960 * 1024; offset < (2U << 20); offset += 65536) {
            (void)write_error(**subject, offset);  // may fail or allocate at the end
        }
        (*subject)->close();
    }
    const auto after = read_file(image_->path());
    ASSERT_TRUE(before && after);
    EXPECT_TRUE(std::ranges::equal(std::span(*before).first(72), std::span(*after).first(72)))
        << "the header was overwritten";
    const auto table = refcount_table_at(*before);
    EXPECT_EQ(entry_at(*before, table), entry_at(*after, table));
}

TEST_F(HostileTest, C24DirtyImageIsReadable) {
    build("lazy", or64(72, 1));
    ASSERT_FALSE(HasFatalFailure());
    const auto subject = open(true);
    ASSERT_TRUE(subject) << subject.error().what;
    EXPECT_EQ(0, read_error(**subject, 40 * kSector));
    (*subject)->close();
}

TEST_F(HostileTest, C25CorruptImageIsReadable) {
    build("v3", or64(72, 2));
    ASSERT_FALSE(HasFatalFailure());
    const auto subject = open(true);
    ASSERT_TRUE(subject) << subject.error().what;
    EXPECT_EQ(0, read_error(**subject, 40 * kSector));
    (*subject)->close();
}

TEST_F(HostileTest, C26Version2IgnoresWhatVersion3WouldMean) {
    build("v2", [](Bytes& image) {
        // Behind byte 72 a version 2 image has extensions: an end, then what looks like features.
        std::fill_n(image.begin() + 80, 32, std::byte{0xff});
        store_be<std::uint64_t>(&image[72], 0);
    });
    ASSERT_FALSE(HasFatalFailure());
    const auto subject = open();
    ASSERT_TRUE(subject) << subject.error().what;
    EXPECT_EQ(0, write_error(**subject, 40 * kSector));
    (*subject)->close();
}

TEST_F(HostileTest, EmptyAndTinyFilesAreRefused) {
    for (const std::size_t size : {0U, 1U, 4U, 71U, 103U, 512U}) {
        build("v3", [size](Bytes& image) { image.resize(size); });
        ASSERT_FALSE(HasFatalFailure());
        const auto subject = open();
        ASSERT_FALSE(subject) << size;
        EXPECT_FALSE(subject.error().what.empty());
    }
}

/// Random damage to metadata, from a printed seed: whatever it does, it does not crash.
TEST_F(HostileTest, RandomDamageNeverCrashes) {
    const std::uint64_t first = setting("LUNKIT_SEED", 1);
    const std::uint64_t rounds = setting("LUNKIT_HOSTILE_ROUNDS", 40);
    const char* const kinds[] = {"c512", "zlib-c4k", "snapshot-c4k", "extl2-16k", "backing-long"};
    for (std::uint64_t seed = first; seed < first + rounds; ++seed) {
        SCOPED_TRACE("LUNKIT_SEED=" + std::to_string(seed));
        std::mt19937_64 random(seed);
        build(kinds[seed % std::size(kinds)], [&](Bytes& image) {
            const std::uint64_t places[] = {0, l1_at(image), l2_at(image), refcount_table_at(image),
                                            entry_at(image, refcount_table_at(image))};
            for (std::uint64_t i = 0; i < 1 + random() % 6; ++i) {
                const std::uint64_t at = places[random() % std::size(places)] + random() % 128;
                if (at < image.size()) {
                    image[at] = static_cast<std::byte>(random());
                }
            }
        });
        ASSERT_FALSE(HasFatalFailure());
        const auto subject = open();
        if (!subject) {
            EXPECT_FALSE(subject.error().what.empty());
            continue;
        }
        for (int i = 0; i < 30; ++i) {
            const std::uint64_t offset = random() % (1U << 20) / kSector * kSector;
            if ((*subject)->info().size < (1U << 20) + kSector) {
                break;
            }
            (void)read_error(**subject, offset);
            (void)write_error(**subject, offset);
        }
        (*subject)->close();
    }
}

}  // namespace
}  // namespace lunkit::qcow_rig
