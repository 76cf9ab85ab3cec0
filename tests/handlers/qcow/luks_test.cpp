// SPDX-License-Identifier: Apache-2.0
// Encrypted images (LUKS): made by qemu-img, written by the handler and by qemu-io in turn, read by
// both; what opens them and what does not; and that nothing of the guest stands there in clear.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "core/queue_set.hpp"
#include "luks_rig.hpp"
#include "lunkit/facts.hpp"
#include "lunkit/unique_fd.hpp"
#include "qcow/big_endian.hpp"

namespace lunkit::qcow {
namespace {

using std::string_view_literals::operator""sv;
using ::testing::HasSubstr;

constexpr const char* kVersion2 = "compat=0.10,cluster_size=4k";
constexpr const char* kExtended = "extended_l2=on,cluster_size=16k";

struct LuksKind {
    const char* name;
    const char* options;
    const char* prepare;  ///< "", "snapshot", or what the backing file is
};
void PrintTo(const LuksKind& kind, std::ostream* out) {
    *out << kind.name;
}
class LuksOracle : public Luks, public ::testing::WithParamInterface<LuksKind> {};

TEST_P(LuksOracle, BothReadWhatEitherWrote) {
    const LuksKind& kind = GetParam();
    const std::string prepare = kind.prepare;
    std::string config = keys();
    if (prepare == "data") {
        create_luks("image", "data_file=" + (folder_ / "data"));
        config += ";data_file=confined";
    } else {
        copy_luks("image", kind.options);
    }
    if (prepare == "raw") {
        test::write_file(folder_ / "base", noise(3 * kMiB + 512 * 5, 5));
        set_backing("image", "base", "raw");
    }
    qemu_io_luks("image", {"write -P 1 0 300k", "write -P 2 1000k 17k", "write -P 3 3M 512"});
    if (prepare == "snapshot") {
        std::vector<std::string> snapshot = {"snapshot", "-c", "kept"};
        for (const std::string& word : naming("image")) {
            snapshot.push_back(word);
        }
        qemu_img(std::move(snapshot));
    }
    std::string model = content_of("image");
    std::mt19937_64 random(1);
    for (int round = 0; round < 2; ++round) {
        open("image", config);
        ASSERT_TRUE(model == read(0, model.size())) << "round " << round;
        exercise(model, random, 80);
        ASSERT_FALSE(HasFatalFailure()) << "round " << round;
        close();
        expect_sound("image");
        ASSERT_TRUE(model == content_of("image")) << "round " << round;
        qemu_io_luks("image", {"write -P 7 777k 200k"});
        model.replace(777 * 1024, 200 * 1024, 200 * 1024, '\7');
    }
}
INSTANTIATE_TEST_SUITE_P(
    Kinds, LuksOracle,
    ::testing::Values(LuksKind{"Plain", "", ""}, LuksKind{"Cluster512", "cluster_size=512", ""},
                      LuksKind{"Cluster2M", "cluster_size=2M", ""},
                      LuksKind{"Version2", kVersion2, "raw"},
                      LuksKind{"Extended16k", kExtended, "raw"}, LuksKind{"Backing", "", "raw"},
                      LuksKind{"Snapshot", "lazy_refcounts=on,cluster_size=4k", "snapshot"},
                      LuksKind{"DataFile", "", "data"}),
    [](const auto& tested) { return tested.param.name; });

/// What LUKS calls a cipher, and the options that make qemu-img use it.
class LuksCipher : public Luks, public ::testing::WithParamInterface<const char*> {};

TEST_P(LuksCipher, IsTheSameAsQemus) {
    const std::string words = GetParam();
    const std::size_t mode = words.find(' ');
    const std::size_t iv = words.find(' ', mode + 1);
    const std::string ivgen = words.substr(iv + 1);
    create_luks("image", "encrypt.cipher-alg=" + words.substr(0, mode) + ",encrypt.cipher-mode=" +
                             words.substr(mode + 1, iv - mode - 1) + ",encrypt.ivgen-alg=" + ivgen +
                             (ivgen == "essiv" ? ",encrypt.ivgen-hash-alg=sha256" : "") +
                             ",encrypt.hash-alg=" + (ivgen == "plain" ? "sha1" : "sha512"));
    qemu_io_luks("image", {"write -P 1 0 300k", "write -P 2 3M 512"});
    std::string model = content_of("image");
    open("image", keys());
    ASSERT_TRUE(model == read(0, model.size()));
    const std::string bytes = noise(100 * 1024, 3);
    ASSERT_TRUE(write(200 * 1024, bytes));
    model.replace(200 * 1024, bytes.size(), bytes);
    close();
    EXPECT_TRUE(model == content_of("image"));
}
INSTANTIATE_TEST_SUITE_P(Ciphers, LuksCipher,
                         ::testing::Values("aes-128 xts plain64", "aes-192 xts plain64",
                                           "aes-256 xts plain", "aes-256 xts essiv",
                                           "aes-128 cbc essiv", "aes-256 ecb plain64",
                                           "serpent-192 xts plain64", "serpent-256 cbc plain64",
                                           "twofish-128 xts plain64", "twofish-256 cbc essiv",
                                           "cast5-128 cbc plain64"),
                         [](const auto& tested) {
                             std::string name = tested.param;
                             std::erase_if(name, [](char c) { return c == ' ' || c == '-'; });
                             return name;
                         });

TEST_F(Luks, ACipherThatTheLibraryLacksIsRefusedByName) {
    copy_luks("twofish");
    put("twofish", luks_at("twofish") + 8, "twofish\0"sv);
    put("twofish", luks_at("twofish") + 108, "\0\0\0\x30"sv);
    EXPECT_THAT(why_not("twofish", 0, keys()), HasSubstr("'twofish' with a key of 192 bits"));
    copy_luks("ctr");
    put("ctr", luks_at("ctr") + 40, "ctr-plain64\0"sv);
    EXPECT_THAT(why_not("ctr", 0, keys()), HasSubstr("'ctr'"));
}

TEST_F(Luks, NothingOfTheGuestStandsInTheFileInClear) {
    std::string base;
    while (base.size() < kSize) {
        base += "Copied from below. ";
    }
    base.resize(kSize);
    test::write_file(folder_ / "base", base);
    for (const char* const options : {"", kExtended, kVersion2}) {
        std::filesystem::remove(folder_ / "image");
        copy_luks("image", options);
        set_backing("image", "base", "raw");
        open("image", keys());
        std::string guest;
        while (guest.size() < 256 * 1024) {
            guest += "Written by guests. ";
        }
        guest.resize(256 * 1024);
        ASSERT_TRUE(write(512, guest));                        // new clusters, copies at both ends
        ASSERT_TRUE(write(100 * 1024, guest.substr(0, 512)));  // in place
        ASSERT_TRUE(write_zeroes(kMiB + 512, 1024));           // copies around zeros
        ASSERT_TRUE(write_zeroes(2 * kMiB, 128 * 1024));
        ASSERT_TRUE(write(2 * kMiB + 4096, guest.substr(0, 4096)));  // into a zero cluster
        close();
        const std::string file = test::read_file(folder_ / "image");
        EXPECT_EQ(std::string::npos, file.find("Copied from")) << options;
        EXPECT_EQ(std::string::npos, file.find("Written by")) << options;
        const std::string content = content_of("image");
        EXPECT_EQ("Written by", content.substr(512, 10)) << options;
        EXPECT_EQ(base.substr(600 * 1024),
                  content.substr(600 * 1024, 424 * 1024) + base.substr(kMiB))
            << options;
    }
}
TEST_F(Luks, GrowsWithZeros) {
    copy_luks("image");
    open("image", keys());
    ASSERT_TRUE(write(kSize - 512, std::string(512, 'x')));
    std::string model = read(0, kSize);
    Status grown;
    std::thread other([&] { grown = device_->resize(kSize + 100 * 512); });
    // The call is posted to the queue: requests turn its loop until it has run.
    while (device_->info().size == kSize) {
        ASSERT_EQ(model.substr(0, 512), read(0, 512));
    }
    other.join();
    ASSERT_TRUE(grown) << grown.error().what;
    model.resize(kSize + 100 * 512, '\0');
    EXPECT_TRUE(model == read(0, model.size()));
    ASSERT_TRUE(write(kSize + 512, std::string(512, 'y')));
    model.replace(kSize + 512, 512, 512, 'y');
    close();
    expect_sound("image");
    EXPECT_TRUE(model == content_of("image"));
}
TEST_F(Luks, AnEncryptedBackingFileOpensWithTheSameSecret) {
    copy_luks("base");
    qemu_io_luks("base", {"write -P 5 0 1M"});
    const std::string model = content_of("base");
    copy_luks("image");
    set_backing("image", "base", "qcow2");
    open("image", keys());
    EXPECT_TRUE(model == read(0, kSize));
    ASSERT_TRUE(write(4096, std::string(512, 'x')));
    EXPECT_EQ(std::string(512, '\5'), read(8192, 512));
    EXPECT_EQ(std::string(512, 'x'), read(4096, 512));
}
TEST_F(Luks, AnOverlayInClearOfAnEncryptedImageIsNeverWritten) {
    copy_luks("base");
    qemu_io_luks("base", {"write -P 5 0 1M"});
    create("image", "backing_file=base,backing_fmt=qcow2", kSize);
    EXPECT_THAT(why_not("image", 0, keys()), HasSubstr("would stand there in clear"));
    const std::string config = "qcow/" + (folder_ / "image") + keys();
    const Status checked = handlers().check_config(config, false);
    ASSERT_FALSE(checked);
    EXPECT_THAT(checked.error().what, HasSubstr("would stand there in clear"));
    EXPECT_TRUE(handlers().check_config(config + ";readonly=on", false));
    open("image", keys() + ";readonly=on");
    EXPECT_EQ(std::string(512, '\5'), read(8192, 512));
}

TEST_F(Luks, WithoutASecretItIsRefused) {
    copy_luks("image");
    EXPECT_THAT(why_not("image"), HasSubstr("secret_file="));
}
TEST_F(Luks, AWrongPassphraseOpensNothing) {
    copy_luks("image");
    make_secret("wrong", "incorrect horse battery staple");
    EXPECT_THAT(why_not("image", 0, keys("wrong")), HasSubstr("opens none of its key slots"));
    EXPECT_EQ("", why_not("image", 0, keys()));
}
TEST_F(Luks, ANewlineAtTheEndBelongsToThePassphrase) {
    copy_luks("image");
    const std::string line = kPassphrase;
    ASSERT_EQ('\n', line.back());
    make_secret("word", line.substr(0, line.size() - 1));
    EXPECT_EQ("", why_not("image", 0, keys()));
    EXPECT_THAT(why_not("image", 0, keys("word")), HasSubstr("key slots"));
}
TEST_F(Luks, ASecretThatOthersMayReadIsRefused) {
    copy_luks("image");
    for (const mode_t mode : {0640U, 0604U, 0610U}) {
        ASSERT_EQ(0, ::chmod((folder_ / "key").c_str(), mode));
        EXPECT_THAT(why_not("image", 0, keys()), HasSubstr("chmod 600"));
    }
}
TEST_F(Luks, ASecretOfNoSizeOrKindIsRefused) {
    copy_luks("image");
    make_secret("empty", "");
    make_secret("long", std::string(9000, 'x'));
    EXPECT_THAT(why_not("image", 0, keys("empty")), HasSubstr("1 to 8192 bytes"));
    EXPECT_THAT(why_not("image", 0, keys("long")), HasSubstr("1 to 8192 bytes"));
    EXPECT_THAT(why_not("image", 0, keys("none")), HasSubstr("No such file"));
    EXPECT_THAT(why_not("image", 0, ";secret_file=/dev/zero"), HasSubstr("no regular file"));
    EXPECT_THAT(why_not("image", 0, ";secret_file=key"), HasSubstr("absolute"));
}
TEST_F(Luks, ACredentialOfTheServiceIsASecret) {
    copy_luks("image");
    EXPECT_THAT(why_not("image", 0, ";secret_credential=key"), HasSubstr("LoadCredential="));
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the threads that run read no environment
    ASSERT_EQ(0, ::setenv("CREDENTIALS_DIRECTORY", (folder_ / "").c_str(), 1));
    EXPECT_EQ("", why_not("image", 0, ";secret_credential=key"));
    EXPECT_THAT(why_not("image", 0, ";secret_credential=../key"), HasSubstr("not a name"));
    EXPECT_THAT(why_not("image", 0, ";secret_credential=key" + keys()), HasSubstr("exclude"));
    // NOLINTNEXTLINE(concurrency-mt-unsafe): as above
    ::unsetenv("CREDENTIALS_DIRECTORY");
}
TEST_F(Luks, AnImageInClearIsNotServedToWhoNamesASecret) {
    create("image", "", kSize);
    EXPECT_THAT(why_not("image", 0, keys()), HasSubstr("not encrypted"));
    EXPECT_THAT(why_not("image", 0, keys() + ";readonly=on"), HasSubstr("not encrypted"));
}
TEST_F(Luks, IsVerifiedWithoutASecretAndKeepsItsHeader) {
    copy_luks("image");
    qemu_io_luks("image", {"write -P 1 0 1M"});
    const auto queues =
        core::QueueSet::start(core::EngineChoice::kThreads, 1, std::chrono::microseconds(0));
    ASSERT_TRUE(queues);
    for (const host::Inspection how : {host::Inspection::kVerify, host::Inspection::kRepairLeaks}) {
        const auto facts = handlers().inspect("qcow/" + (folder_ / "image"), how, (*queues)->at(0));
        ASSERT_TRUE(facts) << facts.error().what;
        const auto leaked = std::ranges::find(*facts, "leaked_clusters", &Fact::key);
        ASSERT_NE(facts->end(), leaked);
        EXPECT_EQ(0U, std::get<std::uint64_t>(leaked->value));
    }
    EXPECT_EQ("", why_not("image", 0, keys()));
}

struct SpoiledLuks {
    const char* name;
    std::uint64_t at;
    std::string_view bytes;
    const char* message;
};
void PrintTo(const SpoiledLuks& spoiled, std::ostream* out) {
    *out << spoiled.name;
}
class HostileLuks : public Luks, public ::testing::WithParamInterface<SpoiledLuks> {};

TEST_P(HostileLuks, IsRefusedByTheFieldsName) {
    copy_luks("image");
    put("image", luks_at("image") + GetParam().at, GetParam().bytes);
    EXPECT_THAT(why_not("image", 0, keys()), HasSubstr(GetParam().message));
}
TEST_F(Luks, SlotsThatTogetherTakeTooLongAreRefused) {
    copy_luks("image");
    for (std::uint64_t slot = 0; slot < 8; ++slot) {  // in use, 30 million iterations
        put("image", luks_at("image") + 208 + slot * 48, "\0\xac\x71\xf3\x01\xc9\xc3\x80"sv);
    }
    EXPECT_THAT(why_not("image", 0, keys()),
                HasSubstr("the iterations of its 8 key slots come to 48"));
}
INSTANTIATE_TEST_SUITE_P(
    Fields, HostileLuks,
    ::testing::Values(
        SpoiledLuks{"Magic", 0, "LUX"sv, "magic"},
        SpoiledLuks{"Version2", 6, "\0\2"sv, "LUKS version 2"},
        SpoiledLuks{"CipherName", 8, "des\0"sv, "'des'"},
        SpoiledLuks{"CipherUnprintable", 8, "\x1b[31m\0"sv, "cipher_name is no name"},
        SpoiledLuks{"ModeWithoutIv", 40, "xts\0"sv, "names no IV generator"},
        SpoiledLuks{"ModeWithOtherIv", 40, "xts-benbi\0"sv, "'benbi'"},
        SpoiledLuks{"Hash", 72, "whirlpool\0"sv, "'whirlpool'"},
        SpoiledLuks{"KeyLengthZero", 108, "\0\0\0\0"sv, "key of 0 bits"},
        SpoiledLuks{"KeyLengthOdd", 108, "\0\0\0\x21"sv, "has no halves"},
        SpoiledLuks{"KeyLengthHuge", 108, "\xff\xff\xff\xfe"sv, "bits is not supported"},
        SpoiledLuks{"DigestIterations", 164, "\xff\xff\xff\xff"sv, "master_key_iterations"},
        SpoiledLuks{"SlotState", 208, "\1\2\3\4"sv, "neither in use nor free"},
        SpoiledLuks{"NoSlot", 208, "\0\0\xde\xad"sv, "no key slot is in use"},
        SpoiledLuks{"SlotIterations", 212, "\x7f\0\0\0"sv, "iterations"},
        SpoiledLuks{"SlotIterationsZero", 212, "\0\0\0\0"sv, "iterations"},
        SpoiledLuks{"SlotOffsetBeyond", 248, "\x7f\0\0\0"sv, "does not lie within"},
        SpoiledLuks{"SlotOffsetInHeader", 248, "\0\0\0\1"sv, "does not lie within"},
        SpoiledLuks{"Stripes", 252, "\0\0\0\1"sv, "stripes"},
        SpoiledLuks{"Digest", 112, "00000000"sv, "opens none of its key slots"},
        SpoiledLuks{"KeyMaterial", 8 * 512, "00000000"sv, "opens none of its key slots"}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace lunkit::qcow
