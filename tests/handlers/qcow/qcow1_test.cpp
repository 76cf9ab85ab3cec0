// SPDX-License-Identifier: Apache-2.0
// Images of version 1 ("qcow"), made by qemu-img, read by the handler; and hostile ones.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "lunkit/unique_fd.hpp"
#include "qcow/big_endian.hpp"
#include "qcow_rig.hpp"

namespace lunkit::qcow {
namespace {

using ::testing::HasSubstr;

class Version1 : public QcowRig {
  protected:
    static constexpr std::uint64_t kSize = 5 * kMiB + 512 * 3;
    static constexpr const char* kReadOnly = ";readonly=on";

    void create_old(const std::string& image, std::vector<std::string> options = {}) {
        std::vector<std::string> arguments = {"create", "-q", "-f", "qcow"};
        arguments.insert(arguments.end(), options.begin(), options.end());
        arguments.insert(arguments.end(), {folder_ / image, std::to_string(kSize)});
        qemu_img(std::move(arguments));
    }
    void write_old(const std::string& image) {
        ASSERT_EQ(0, call({"qemu-io", "-f", "qcow", "-c", "write -P 1 0 300k", "-c",
                           "write -P 2 2000k 17k", "-c", "write -P 3 5M 512", folder_ / image}))
            << printed_;
    }
    /// As the handler serves it and as qemu-img reads it.
    void expect_same(const std::string& image, const std::string& keys = kReadOnly) {
        qemu_img({"convert", "-f", "qcow", "-O", "raw", folder_ / image, folder_ / "content.raw"});
        const std::string content = test::read_file(folder_ / "content.raw");
        open(image, keys);
        ASSERT_EQ(content.size(), device_->info().size);
        EXPECT_TRUE(device_->info().read_only);
        EXPECT_TRUE(content == read(0, content.size()));
        for (std::uint64_t at = 512; at < content.size(); at += 97 * 512) {
            const std::uint64_t length = std::min<std::uint64_t>(3 * 512, content.size() - at);
            ASSERT_EQ(content.substr(at, length), read(at, length)) << at;
        }
    }
    void put64(const std::string& image, std::uint64_t at, std::uint64_t value) {
        std::array<std::byte, 8> bytes{};
        store_be(bytes.data(), value);
        put(image, at, bytes);
    }
    void put8(const std::string& image, std::uint64_t at, std::uint8_t value) {
        put(image, at, std::array{std::byte{value}});
    }
    void put(const std::string& image, std::uint64_t at, std::span<const std::byte> bytes) {
        const UniqueFd fd(::open((folder_ / image).c_str(), O_RDWR | O_CLOEXEC));
        ASSERT_EQ(static_cast<ssize_t>(bytes.size()),
                  ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(at)));
    }
    std::uint64_t number_at(const std::string& image, std::uint64_t at) {
        const std::string bytes = test::read_file(folder_ / image).substr(at, 8);
        return load_be<std::uint64_t>(reinterpret_cast<const std::byte*>(bytes.data()));
    }
    /// Where the first L2 table is.
    std::uint64_t l2_of(const std::string& image) { return number_at(image, number_at(image, 40)); }
};

TEST_F(Version1, IsReadAsQemuReadsIt) {
    create_old("image");
    write_old("image");
    expect_same("image");
    EXPECT_FALSE(write(0, std::string(512, 'x')));
    EXPECT_FALSE(device_->info().can_discard);
}
TEST_F(Version1, ReadsCompressedClusters) {
    constexpr std::uint64_t kWhole = 7 * kMiB;
    std::string plain;
    for (std::uint64_t i = 0; i < kWhole; ++i) {
        plain += static_cast<char>(i / 3000 % 200 + (i % 7 == 0 ? 1 : 2));
    }
    test::write_file(folder_ / "plain.raw", plain);
    // qemu-img 7.2 makes the whole image and then fails all the same, without a word.
    (void)call({"qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow", folder_ / "plain.raw",
                folder_ / "image"});
    qemu_img({"compare", "-f", "raw", "-F", "qcow", folder_ / "plain.raw", folder_ / "image"});
    ASSERT_LT(std::filesystem::file_size(folder_ / "image"), kWhole / 4);
    expect_same("image");
    close();
    write_old("image");  // ordinary clusters among them
    expect_same("image");
}
TEST_F(Version1, ReadsItsBackingFileWhoseFormatTheConfigurationTells) {
    test::write_file(folder_ / "base", noise(3 * kMiB, 5));
    create_old("image", {"-b", folder_ / "base", "-F", "raw"});
    write_old("image");
    EXPECT_THAT(why_not("image", 0, kReadOnly), HasSubstr("backing_format="));
    expect_same("image", ";readonly=on;backing_format=raw");
    EXPECT_THAT(why_not("image", 0, ";readonly=on;backing_format=vmdk"), HasSubstr("vmdk"));
}
TEST_F(Version1, IsTheBackingFileOfANewerImageThatNamesItsFormat) {
    create_old("base");
    write_old("base");
    create("image", "backing_file=base,backing_fmt=qcow", kSize);
    qemu_io("image", "write -P 9 100k 70k");
    const std::string content = content_by_qemu("image");
    open("image");
    ASSERT_EQ(content, read(0, content.size()));
    ASSERT_TRUE(write(2000 * 1024, std::string(1024, 'n')));
    close();
    expect_clean("image");
    EXPECT_EQ(content.substr(0, kMiB), content_by_qemu("image").substr(0, kMiB));
}
TEST_F(Version1, IsNotTakenForAnotherFormatThanItsUserNames) {
    create_old("base");
    create("image", "", kSize);
    qemu_img({"rebase", "-u", "-b", "base", "-F", "qcow2", folder_ / "image"});
    EXPECT_THAT(why_not("image"), HasSubstr("not the qcow2 image that it is said to be"));
}
TEST_F(Version1, IsNotServedForWriting) {
    create_old("image");
    EXPECT_THAT(why_not("image"),
                ::testing::AllOf(HasSubstr("readonly=on"), HasSubstr("qemu-img convert")));
}
TEST_F(Version1, TellsWhereItHasData) {
    create_old("image");
    write_old("image");
    open("image", kReadOnly);
    const auto runs = extents(0, device_->info().size / 512 * 512);
    ASSERT_FALSE(runs.empty());
    EXPECT_EQ(0U, runs[0].flags);
    EXPECT_EQ(300U * 1024, runs[0].length);
    EXPECT_EQ(LUNKIT_EXTENT_HOLE | LUNKIT_EXTENT_ZERO, runs[1].flags);
}

TEST_F(Version1, EncryptedByAesIsRefusedWithTheReason) {
    ASSERT_EQ(
        0, call({"qemu-img", "create", "-q", "-f", "qcow", "--object", "secret,id=s,data=12345678",
                 "-o", "encrypt.format=aes,encrypt.key-secret=s", folder_ / "image", "4M"}))
        << printed_;
    EXPECT_THAT(why_not("image", 0, kReadOnly), HasSubstr("broken by design"));
}

struct Spoiled {
    const char* name;
    std::uint64_t at;
    std::uint64_t value;  ///< of 8 bytes there
    const char* message;
};
void PrintTo(const Spoiled& spoiled, std::ostream* out) {
    *out << spoiled.name;
}
class HostileVersion1 : public Version1, public ::testing::WithParamInterface<Spoiled> {};
constexpr std::uint64_t kBits = 0x0c09000000000000;  // as qemu-img makes them; crypt_method 0

TEST_P(HostileVersion1, IsRefusedByTheFieldsName) {
    create_old("image");
    put64("image", GetParam().at, GetParam().value);
    EXPECT_THAT(why_not("image", 0, kReadOnly), HasSubstr(GetParam().message));
}
INSTANTIATE_TEST_SUITE_P(
    Fields, HostileVersion1,
    ::testing::Values(
        Spoiled{"SizeZero", 24, 0, "size 0"},
        Spoiled{"SizeHuge", 24, UINT64_MAX, "size 18446744073709551615 is too small or too large"},
        Spoiled{"SizeBeyondTheTable", 24, 1ULL << 40U, "l1_table"},
        Spoiled{"SizeBeyondTheLimit", 24, 1ULL << 45U, "32 MiB"},
        Spoiled{"ClusterBitsSmall", 32, kBits - (4ULL << 56U), "cluster_bits 8"},
        Spoiled{"ClusterBitsLarge", 32, kBits + (5ULL << 56U), "cluster_bits 17"},
        Spoiled{"L2BitsSmall", 32, kBits - (4ULL << 48U), "l2_bits 5"},
        Spoiled{"L2BitsLarge", 32, kBits + (5ULL << 48U), "l2_bits 14"},
        Spoiled{"CryptMethod", 32, kBits + 2, "crypt_method 2"},
        Spoiled{"L1AtHeader", 40, 8, "l1_table overlaps"},
        Spoiled{"L1BeyondTheFile", 40, 1ULL << 40U, "l1_table"},
        Spoiled{"L1Overflows", 40, UINT64_MAX - 7,
                "l1_table at 0xfffffffffffffff8 with 3 entries ends beyond the file's "},
        Spoiled{"BackingNameBeyond", 8, 1ULL << 40U, "backing_file_offset"},
        Spoiled{"L2BeyondTheFile", 48, 1ULL << 40U, "L1 entry 0"}),
    [](const auto& tested) { return tested.param.name; });

TEST_F(Version1, ATruncatedHeaderIsRefused) {
    create_old("image");
    std::filesystem::resize_file(folder_ / "image", 40);
    EXPECT_THAT(why_not("image", 0, kReadOnly), HasSubstr("ends within the header"));
}
TEST_F(Version1, EntriesThatLeaveTheFileAreReadErrors) {
    create_old("image");
    write_old("image");
    const std::uint64_t l2 = l2_of("image");
    constexpr std::uint64_t kCompressed = 1ULL << 63U;
    constexpr std::array<std::uint64_t, 5> kWords = {1ULL << 40U, 4096 + 512, kCompressed + 4096,
                                                     kCompressed + (5ULL << 51U) + (1ULL << 40U),
                                                     UINT64_MAX};
    for (const std::uint64_t word : kWords) {
        put64("image", l2, word);
        open("image", kReadOnly);
        EXPECT_EQ("error 5", read(0, 512)) << std::hex << word;
        EXPECT_EQ(std::string(512, '\1'), read(4096, 512)) << std::hex << word;
    }
}

}  // namespace
}  // namespace lunkit::qcow
