// SPDX-License-Identifier: Apache-2.0
#include "host/host_table.hpp"

#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "core/log.hpp"
#include "host/sized_struct.hpp"
#include "lunkit/file.hpp"
#include "lunkit/handler.hpp"
#include "lunkit/try.hpp"
#include "support/engine_rig.hpp"

namespace lunkit::host {

class HostTable : public test::EngineRig {
  protected:
    const lunkit_host& host_ = host_table();
};
LUNKIT_ON_EACH_ENGINE(HostTable);

TEST_P(HostTable, EveryCallIsThere) {
    EXPECT_EQ(sizeof(lunkit_host), host_.struct_size);
    EXPECT_EQ(LUNKIT_ABI_VERSION, host_.abi_version);
    // From the first call to the reserved ones, nothing is NULL.
    constexpr std::size_t kFirst = offsetof(lunkit_host, log);
    constexpr std::size_t kEnd = offsetof(lunkit_host, reserved);
    for (std::size_t at = kFirst; at < kEnd; at += sizeof(void*)) {
        void* call = nullptr;
        std::memcpy(&call, reinterpret_cast<const char*>(&host_) + at, sizeof call);
        EXPECT_NE(nullptr, call) << at;
    }
}

TEST_P(HostTable, CopiesAcrossIovecsAndWithinBounds) {
    std::string first = "0123";
    std::string second = "4567";
    const std::array<iovec, 2> iov{iovec{first.data(), 4}, iovec{second.data(), 4}};
    const Data data(iov, 8);
    std::array<char, 4> out{};
    EXPECT_EQ(0, host_.copy_from(&data, 2, out.data(), 4));
    EXPECT_EQ("2345", std::string(out.data(), 4));
    EXPECT_EQ(0, host_.copy_to(&data, 3, "ab", 2));
    EXPECT_EQ("012ab567", first + second);
    EXPECT_EQ(-EINVAL, host_.copy_from(&data, 5, out.data(), 4));
    EXPECT_EQ(-EINVAL, host_.copy_to(&data, UINT64_MAX, "ab", 2));
}

TEST_P(HostTable, MapsWithoutACopy) {
    std::string bytes = "0123456789";
    const std::array<iovec, 2> iov{iovec{bytes.data(), 4}, iovec{bytes.data() + 4, 6}};
    const Data data(iov, 10);
    std::array<iovec, 2> out{};
    EXPECT_EQ(2, host_.map(&data, 3, 3, out.data(), 2));
    EXPECT_EQ(bytes.data() + 3, out[0].iov_base);
    EXPECT_EQ(2U, out[1].iov_len);
    EXPECT_EQ(-E2BIG, host_.map(&data, 3, 3, out.data(), 1));
}

TEST_P(HostTable, DataElsewhereIsNotSupported) {
    lunkit_data data{};
    data.kind = LUNKIT_DATA_HOST;
    data.length = 8;
    std::array<char, 8> out{};
    EXPECT_EQ(-EOPNOTSUPP, host_.copy_from(&data, 0, out.data(), 8));
}

TEST_P(HostTable, FilesWorkThroughTheCppFace) {
    auto file = File::open(host_, folder_ / "disk", LUNKIT_FILE_CREATE, 65536);
    ASSERT_TRUE(file) << file.error().what;
    HostQueue host_queue(host_, queue().handle());
    struct Steps {
        static Task<Status> all(Queue& on, File& file, const Data& data) {
            const Outcome written = co_await file.write(on, 512, data, 0, 1024, LUNKIT_IO_FUA);
            CO_CHECK(to_status(written));
            const Outcome flushed = co_await file.flush(on);
            CO_CHECK(to_status(flushed));
            const Outcome discarded = co_await file.discard(on, 0, 512);
            CO_CHECK(to_status(discarded));
            co_return Status{};
        }
    };
    std::string bytes = test::pattern(1024);
    const SingleData data(bytes.data(), bytes.size());
    const Status status = run(Steps::all(host_queue, *file, data));
    EXPECT_TRUE(status) << status.error().code;
    EXPECT_EQ(bytes, test::read_file(folder_ / "disk").substr(512, 1024));
}

TEST_P(HostTable, AFileErrorIsASentence) {
    const auto file = File::open(host_, folder_.path(), 0);
    ASSERT_FALSE(file);
    EXPECT_EQ(folder_.path() + " is a folder; a regular file or a block device is needed",
              file.error().what);
}

TEST_P(HostTable, ASmallErrorRoomCutsTheSentence) {
    std::array<char, 9> room{};
    put_sentence("0123456789", room.data(), room.size());
    EXPECT_STREQ("01234567", room.data());
    put_sentence("0123456789", nullptr, 0);
}

TEST_P(HostTable, AnOlderInfoGetsWhatItHasRoomFor) {
    auto file = File::open(host_, folder_ / "disk", LUNKIT_FILE_CREATE, 65536);
    ASSERT_TRUE(file);
    lunkit_file_open request{};
    lunkit_file_info info{};
    std::memset(&info, 0x55, sizeof info);
    info.struct_size = offsetof(lunkit_file_info, logical_block_size);
    lunkit_file* opened = nullptr;
    const std::string path = folder_ / "disk";
    request.struct_size = offsetof(lunkit_file_open, reserved);
    request.path = path.c_str();
    request.flags = LUNKIT_FILE_NO_LOCK;
    ASSERT_EQ(0, host_.file_open(&request, &opened));
    EXPECT_EQ(0, host_.file_info(opened, &info));
    host_.file_close(opened);
    EXPECT_EQ(65536U, info.size);
    EXPECT_EQ(offsetof(lunkit_file_info, logical_block_size), info.struct_size);
    EXPECT_EQ(0x55555555U, info.logical_block_size);
}

TEST_P(HostTable, OpeningWithoutAPathIsRefused) {
    lunkit_file* opened = nullptr;
    lunkit_file_open request{};
    request.struct_size = sizeof request;
    EXPECT_EQ(-EINVAL, host_.file_open(&request, &opened));
    request.path = "/dev/null";
    request.struct_size = offsetof(lunkit_file_open, path);  // too small to have one
    EXPECT_EQ(-EINVAL, host_.file_open(&request, &opened));
}

TEST_P(HostTable, OffloadTimerAndPost) {
    HostQueue host_queue(host_, queue().handle());
    struct Steps {
        static Task<std::int64_t> all(Queue& on) {
            const Outcome answer =
                co_await on.offload(nullptr, []() -> std::int64_t { return 42; });
            const Outcome slept = co_await on.sleep(std::chrono::nanoseconds(1));
            (void)co_await on.yield();
            co_return answer.result + slept.result;
        }
    };
    EXPECT_EQ(42, run(Steps::all(host_queue)));
}

TEST_P(HostTable, MemoryIsAlignedToAPage) {
    void* const memory = host_.allocate(5000);
    ASSERT_NE(nullptr, memory);
    EXPECT_EQ(0U, reinterpret_cast<std::uintptr_t>(memory) % 4096);
    host_.release(memory, 5000);
    EXPECT_EQ(nullptr, host_.allocate(UINT64_MAX));
}

std::string lines;  // NOLINT: what the sink has no other way to
void keep_lines(core::LogLevel /*level*/, const core::LogSubject& subject,
                std::string_view message) {
    lines += std::string(subject.device) + ": " + std::string(message) + "\n";
}

// Of a ublk device nothing that its handler said was shown by "lunkit log-level ublkb4 debug".
TEST_P(HostTable, LogNamesADeviceByTheNameThatItGotLate) {
    const auto late = std::make_shared<LateName>();
    HostDevice device{{"ram/64M", late}, {}, {}};
    lines.clear();
    core::set_log_sink(keep_lines);
    core::set_log_level("ublkb4", core::LogLevel::kDebug);
    host_.log(&device, LUNKIT_LOG_INFO, "opening");
    host_.log(&device, LUNKIT_LOG_DEBUG, "not wanted");
    late->set("ublkb4");
    host_.log(&device, LUNKIT_LOG_DEBUG, "wanted");
    core::set_log_levels({});
    core::set_log_sink(nullptr);
    EXPECT_EQ(lines, "ram/64M: opening\nublkb4: wanted\n");
}

TEST_P(HostTable, HandingOverIsWhatTheFrontEndSays) {
    bool stays = false;
    HostDevice device{{"disk"}, {}, [&] { return stays; }};
    EXPECT_EQ(0, host_.handing_over(&device));
    stays = true;
    EXPECT_EQ(1, host_.handing_over(&device));
    HostDevice nobodys{{"disk"}, {}, {}};
    EXPECT_EQ(0, host_.handing_over(&nobodys));
}

TEST_P(HostTable, SizeChangesReachTheFrontEnd) {
    std::uint64_t told = 0;
    HostDevice device{{"disk"}, [&](std::uint64_t size) { told = size; }, {}};
    host_.size_changed(&device, 4096);
    EXPECT_EQ(4096U, told);
    HostDevice deaf{{"disk"}, {}, {}};
    host_.size_changed(&deaf, 4096);
}

}  // namespace lunkit::host
