// SPDX-License-Identifier: Apache-2.0
// Encrypted images that the handler makes, and what the configuration's check looks at.
#include <unistd.h>

#include <chrono>
#include <string>

#include "luks_rig.hpp"

namespace lunkit::qcow {
namespace {

using ::testing::HasSubstr;

class NewLuks : public Luks {
  protected:
    /// An image that the handler made.
    void make(const std::string& image) {
        const Status made = try_open(image, kSize, ";create=on" + keys());
        ASSERT_TRUE(made) << made.error().what;
    }
    [[nodiscard]] std::string config(const std::string& image, const std::string& more) const {
        return "qcow/" + (folder_ / image) + more;
    }
};

TEST_F(NewLuks, IsOneToQemuAndBothReadWhatEitherWrote) {
    ASSERT_NO_FATAL_FAILURE(make("image"));
    const std::string first = noise(kMiB, 1);
    ASSERT_TRUE(write(kMiB, first));
    std::string model(kSize, '\0');
    model.replace(kMiB, kMiB, first);
    EXPECT_EQ(model, read(0, kSize));
    close();
    expect_sound("image");
    EXPECT_EQ(model, content_of("image"));
    qemu_io_luks("image", {"write -P 7 2M 100k"});
    model.replace(2 * kMiB, 100U << 10U, 100U << 10U, '\7');
    open("image", keys());
    EXPECT_EQ(model, read(0, kSize));
    close();
    EXPECT_EQ(std::string::npos, test::read_file(folder_ / "image").find(first.substr(0, 64)));
    make_secret("wrong", "battery staple");
    EXPECT_THAT(why_not("image", kSize, ";create=on" + keys("wrong")),
                HasSubstr("opens none of its key slots"));
}
TEST_F(NewLuks, HasItsOwnDigestSaltsUuidAndKeyMaterial) {
    ASSERT_NO_FATAL_FAILURE(make("one"));
    close();
    ASSERT_NO_FATAL_FAILURE(make("other"));
    close();
    const std::string one = test::read_file(folder_ / "one");
    const std::string other = test::read_file(folder_ / "other");
    constexpr std::size_t kArea = 4 * 65536;  // behind one cluster of L1 table
    ASSERT_EQ("LUKS", one.substr(kArea, 4));
    constexpr struct {
        std::size_t at, length;
    } kOwn[] = {{112, 20}, {132, 32}, {168, 36}, {216, 32}, {4096, 256'000}};
    for (const auto& [at, length] : kOwn) {
        EXPECT_TRUE(one.substr(kArea + at, length) != other.substr(kArea + at, length)) << at;
    }
}
TEST_F(NewLuks, IsNotMadeWithoutItsSecret) {
    make_secret("open", "battery staple", 0644);
    EXPECT_THAT(why_not("image", kSize, ";create=on" + keys("open")), HasSubstr("600"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "image"));
    EXPECT_FALSE(handlers().check_config(config("image", ";create=on" + keys("open")), false));
    EXPECT_TRUE(handlers().check_config(config("image", ";create=on" + keys()), false));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "image"));
}
TEST_F(NewLuks, CheckConfigDerivesNoKey) {
    copy_luks("image");
    const std::string slot("\x05\x00\x00\x00", 4);  // 83,886,080 iterations: half a minute
    put("image", luks_at("image") + 208 + 4, slot);
    make_secret("wrong", "battery staple");
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_TRUE(handlers().check_config(config("image", keys()), false));
    EXPECT_TRUE(handlers().check_config(config("image", keys("wrong")), false));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
    // But it looks at what there is.
    EXPECT_FALSE(handlers().check_config(config("image", keys("missing")), false));
    EXPECT_FALSE(handlers().check_config(config("image", ""), false));
    put("image", luks_at("image") + 8, "rot13");
    const Status unknown = handlers().check_config(config("image", keys()), false);
    ASSERT_FALSE(unknown);
    EXPECT_THAT(unknown.error().what, HasSubstr("rot13"));
}

}  // namespace
}  // namespace lunkit::qcow
