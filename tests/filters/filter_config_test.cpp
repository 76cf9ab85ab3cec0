// SPDX-License-Identifier: Apache-2.0
#include "filters/filter_config.hpp"

#include <cerrno>
#include <string>
#include <variant>

#include <gmock/gmock.h>

namespace lunkit::filters {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): 5ms

std::string error_of(const std::string& config) {
    const auto parsed = FilterConfig::parse(config);
    return parsed ? "" : parsed.error().what;
}
/// Of a configuration with one filter.
template <typename T>
T only(const std::string& config) {
    const auto parsed = FilterConfig::parse(config);
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().what);
    EXPECT_EQ(1U, parsed.value().stack.size());
    return std::get<T>(parsed.value().stack.at(0));
}

TEST(FilterConfig, WithoutFiltersTheHandlerGetsWhatWasGiven) {
    for (const char* config :
         {"", "/srv/disk.img", "/srv/disk;direct=on;nonsense;;x", "a;=;filter"}) {
        const auto parsed = FilterConfig::parse(config);
        ASSERT_TRUE(parsed);
        EXPECT_EQ(config, parsed->handler);
        EXPECT_TRUE(parsed->stack.empty());
        EXPECT_FALSE(parsed->read_only);
    }
}

TEST(FilterConfig, OurKeysDoNotReachTheHandler) {
    const auto parsed = FilterConfig::parse(
        "/srv/filter.x=1;filter.readonly=on;direct=on;filter.delay.read=5ms;a=b");
    ASSERT_TRUE(parsed);
    EXPECT_EQ("/srv/filter.x=1;direct=on;a=b", parsed->handler);
    EXPECT_TRUE(parsed->read_only);
}

TEST(FilterConfig, FiltersStackInTheOrderOfTheirFirstKeys) {
    const auto parsed = FilterConfig::parse(
        "d;filter.error.rate=1%;filter.offset=1M;filter.throttle.iops=5;filter.delay.read=1s;"
        "filter.error.kind=ENOSPC;filter.throttle.burst=1s;filter.size=1M");
    ASSERT_TRUE(parsed);
    ASSERT_EQ(4U, parsed->stack.size());
    EXPECT_TRUE(std::holds_alternative<ErrorOptions>(parsed->stack[0]));
    EXPECT_TRUE(std::holds_alternative<PartOptions>(parsed->stack[1]));
    EXPECT_TRUE(std::holds_alternative<ThrottleOptions>(parsed->stack[2]));
    EXPECT_TRUE(std::holds_alternative<DelayOptions>(parsed->stack[3]));
}

TEST(FilterConfig, ReadsEveryKeyOfAThrottle) {
    const auto throttle = only<ThrottleOptions>(
        "d;filter.throttle.iops=500;filter.throttle.rate=10M;filter.throttle.burst=2s");
    EXPECT_EQ(500U, throttle.iops);
    EXPECT_EQ(10U << 20U, throttle.rate);
    EXPECT_EQ(2s, throttle.burst);
    EXPECT_EQ(100ms, only<ThrottleOptions>("d;filter.throttle.iops=500").burst);
}

TEST(FilterConfig, ReadsEveryKeyOfADelay) {
    const auto delay = only<DelayOptions>(
        "d;filter.delay.read=5ms;filter.delay.write=100us;filter.delay.flush=2s");
    EXPECT_EQ(5ms, delay.read);
    EXPECT_EQ(100us, delay.write);
    EXPECT_EQ(2s, delay.flush);
}

TEST(FilterConfig, ReadsEveryKeyOfAnError) {
    const auto error = only<ErrorOptions>(
        "d;filter.error.rate=0.5%;filter.error.kind=ENOSPC;filter.error.op=write;"
        "filter.error.file=/run/fail");
    EXPECT_EQ(5000U, error.share);
    EXPECT_EQ(ENOSPC, error.code);
    EXPECT_EQ(ErrorOptions::Of::kWrite, error.of);
    EXPECT_EQ("/run/fail", error.file);
    const auto plain = only<ErrorOptions>("d;filter.error.op=any");
    EXPECT_EQ(kWhole, plain.share);
    EXPECT_EQ(EIO, plain.code);
}

TEST(FilterConfig, ReadsEveryKeyOfAPart) {
    const auto part = only<PartOptions>("d;filter.offset=1M;filter.size=2G");
    EXPECT_EQ(1U << 20U, part.offset);
    EXPECT_EQ(std::uint64_t{2} << 30U, part.size);
    EXPECT_EQ(0U, only<PartOptions>("d;filter.offset=0;filter.size=2G").offset);
}

TEST(FilterConfig, ATraceIsThereOnlyWhereItIsOn) {
    EXPECT_EQ(1U, FilterConfig::parse("d;filter.trace=on")->stack.size());
    EXPECT_TRUE(FilterConfig::parse("d;filter.trace=off")->stack.empty());
    EXPECT_EQ("filter.trace: '2' is neither on nor off", error_of("d;filter.trace=2"));
}

TEST(FilterConfig, UnknownKeysAreNamedWithTheKnownOnes) {
    EXPECT_THAT(error_of("d;filter.colour=red"),
                StartsWith("unknown key 'filter.colour' (of filters there are: filter.readonly, "));
    EXPECT_THAT(error_of("d;filter.=red"), HasSubstr("unknown key"));
    EXPECT_THAT(error_of("d;filter.throttle=5"), HasSubstr("unknown key 'filter.throttle'"));
}

TEST(FilterConfig, ErrorsNameTheKey) {
    EXPECT_EQ("'filter.readonly' is not key=value", error_of("d;filter.readonly"));
    EXPECT_EQ("filter.readonly: 'x' is neither on nor off", error_of("d;filter.readonly=x"));
    EXPECT_EQ("key 'filter.offset' is given twice",
              error_of("d;filter.offset=1M;filter.offset=2M"));
    EXPECT_EQ("filter.throttle.iops: '0' is not a number from 1 to 1000000000",
              error_of("d;filter.throttle.iops=0"));
    EXPECT_EQ("filter.throttle.rate: '1K' is less than 4096 bytes a second",
              error_of("d;filter.throttle.rate=1K"));
    EXPECT_EQ("filter.throttle.burst: nothing at all could pass; 1us is the least",
              error_of("d;filter.throttle.iops=1;filter.throttle.burst=0s"));
    EXPECT_EQ("filter.throttle.burst needs filter.throttle.iops or filter.throttle.rate",
              error_of("d;filter.throttle.burst=1s"));
    EXPECT_THAT(error_of("d;filter.delay.read=5"), StartsWith("filter.delay.read: '5' is no time"));
    EXPECT_THAT(error_of("d;filter.error.rate=2"),
                StartsWith("filter.error.rate: '2' is no share"));
    EXPECT_EQ("filter.error.kind: 'EFOO' is none of EIO, ENOSPC, EROFS, ENOMEM, ETIMEDOUT, EPERM",
              error_of("d;filter.error.kind=EFOO"));
    EXPECT_EQ("filter.error.op: 'reads' is none of any, read, write, flush",
              error_of("d;filter.error.op=reads"));
    EXPECT_EQ("filter.error.file: 'fail' is no absolute path",
              error_of("d;filter.error.file=fail"));
    EXPECT_THAT(error_of("d;filter.size=0"), StartsWith("filter.size: '0' is no size"));
    EXPECT_THAT(error_of("d;filter.offset=-1"), StartsWith("filter.offset: '-1' is no size"));
}

}  // namespace lunkit::filters
