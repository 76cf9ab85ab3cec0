// SPDX-License-Identifier: Apache-2.0
#include "host/plugin_device.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "support/fake_queue.hpp"
#include "support/run_task.hpp"

namespace lunkit::host {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

constexpr std::uint64_t kSize = 1 << 20;

/// What the handler under test has, and what it was asked. One device at a time.
struct Disk {
    std::string bytes = std::string(kSize, 'x');
    std::vector<std::string> calls;
    lunkit_device_info info{};
    const lunkit_host* host = nullptr;
    void* host_device = nullptr;
    test::FakeQueue* queue = nullptr;  ///< set: requests complete later, on it
    int answer = 0;                    ///< of the next request
    int zero_answer = 0;

    void note(const char* what, std::uint64_t offset, std::uint64_t length, std::uint32_t flags) {
        calls.push_back(std::string(what) + " " + std::to_string(offset) + "+" +
                        std::to_string(length) + ((flags & LUNKIT_IO_FUA) != 0 ? " fua" : ""));
    }
};
Disk* disk = nullptr;  // NOLINT: the handler's "storage"

int open_disk(const lunkit_open* request, void** device) {
    const std::uint32_t size = request->info->struct_size;
    *request->info = disk->info;
    request->info->struct_size = size;
    disk->host = request->host;
    disk->host_device = request->host_device;
    *device = disk;
    return 0;
}
void close_disk(void* /*device*/) {}

int finish(lunkit_completion* completion) {
    completion->error_offset = 512;
    if (disk->answer < 0) {
        return std::exchange(disk->answer, 0);
    }
    if (disk->queue == nullptr) {
        return LUNKIT_DONE;
    }
    completion->result = 0;
    disk->queue->post(completion);
    return LUNKIT_PENDING;
}

int read_disk(void* /*device*/, lunkit_queue* /*queue*/, const lunkit_io* io,
              lunkit_completion* completion) {
    disk->note("read", io->offset, io->length, io->flags);
    copy_to_iov(*io->data, io->data_offset,
                std::as_bytes(std::span(disk->bytes).subspan(io->offset, io->length)));
    return finish(completion);
}
int write_disk(void* /*device*/, lunkit_queue* /*queue*/, const lunkit_io* io,
               lunkit_completion* completion) {
    disk->note("write", io->offset, io->length, io->flags);
    copy_from_iov(*io->data, io->data_offset,
                  std::as_writable_bytes(std::span(disk->bytes).subspan(io->offset, io->length)));
    return finish(completion);
}
int flush_disk(void* /*device*/, lunkit_queue* /*queue*/, const lunkit_io* /*io*/,
               lunkit_completion* completion) {
    disk->calls.emplace_back("flush");
    return finish(completion);
}
int zero_disk(void* /*device*/, lunkit_queue* /*queue*/, const lunkit_io* io,
              lunkit_completion* /*completion*/) {
    disk->note("zero", io->offset, io->length, io->flags);
    return disk->zero_answer;
}
int discard_disk(void* /*device*/, lunkit_queue* /*queue*/, const lunkit_io* io,
                 lunkit_completion* completion) {
    disk->note("discard", io->offset, io->length, io->flags);
    return finish(completion);
}
int extents_of_disk(void* /*device*/, lunkit_queue* /*queue*/, const lunkit_io* io,
                    lunkit_extent_list* list, lunkit_completion* /*completion*/) {
    list->extents[0] = {4096, 0, 0};
    list->extents[1] = {io->length, LUNKIT_EXTENT_HOLE, 0};  // beyond what was asked for
    list->count = 2;
    return LUNKIT_DONE;
}
int space_of_disk(void* /*device*/, lunkit_queue* /*queue*/, lunkit_space* space,
                  lunkit_completion* completion) {
    space->used = 4096;
    space->available = 8192;
    space->flags = LUNKIT_SPACE_SHARED;
    return finish(completion);
}
int read_blocking(void* /*device*/, void* buffer, std::uint64_t length, std::uint64_t offset,
                  std::uint32_t flags) {
    disk->note("read", offset, length, flags);
    std::memcpy(buffer, disk->bytes.data() + offset, length);
    return std::exchange(disk->answer, 0);
}
int write_blocking(void* /*device*/, const void* buffer, std::uint64_t length, std::uint64_t offset,
                   std::uint32_t flags) {
    disk->note("write", offset, length, flags);
    std::memcpy(disk->bytes.data() + offset, buffer, length);
    return std::exchange(disk->answer, 0);
}
int flush_blocking(void* /*device*/) {
    disk->calls.emplace_back("flush");
    return std::exchange(disk->answer, 0);
}

lunkit_handler bare() {
    lunkit_handler handler{};
    handler.struct_size = sizeof handler;
    handler.abi_version = LUNKIT_ABI_VERSION;
    handler.name = "test";
    handler.open = open_disk;
    handler.close = close_disk;
    return handler;
}
lunkit_handler asynchronous() {
    lunkit_handler handler = bare();
    handler.read = read_disk;
    handler.write = write_disk;
    handler.flush = flush_disk;
    return handler;
}
lunkit_handler blocking() {
    lunkit_handler handler = bare();
    handler.read_blocking = read_blocking;
    handler.write_blocking = write_blocking;
    handler.flush_blocking = flush_blocking;
    return handler;
}

}  // namespace

class PluginDeviceTest : public ::testing::Test {
  protected:
    PluginDeviceTest() {
        disk = &disk_;
        disk_.info.size = kSize;
    }
    ~PluginDeviceTest() override { device_.reset(); }
    PluginDeviceTest(const PluginDeviceTest&) = delete;
    PluginDeviceTest& operator=(const PluginDeviceTest&) = delete;
    PluginDeviceTest(PluginDeviceTest&&) = delete;
    PluginDeviceTest& operator=(PluginDeviceTest&&) = delete;

    Status try_open(const lunkit_handler& handler, OpenDevice request = {}) {
        handler_ = handler;
        request.name = "disk";
        auto opened = PluginDevice::open(handler_, "", std::move(request));
        if (!opened) {
            return std::unexpected(opened.error());
        }
        device_ = std::move(*opened);
        return {};
    }
    void open(const lunkit_handler& handler) {
        const Status status = try_open(handler);
        ASSERT_TRUE(status) << status.error().what;
    }
    Status read(std::uint64_t offset, std::string& into) {
        const SingleData data(into.data(), into.size());
        const IoRequest io(offset, data);
        return test::run_task(queue_, device_->read(queue_, io));
    }
    Status write(std::uint64_t offset, std::string bytes, std::uint32_t flags = 0) {
        const SingleData data(bytes.data(), bytes.size());
        const IoRequest io(offset, data, flags);
        return test::run_task(queue_, device_->write(queue_, io));
    }
    Status write_zeroes(std::uint64_t offset, std::uint64_t length, std::uint32_t flags = 0) {
        const IoRequest io(offset, length, flags);
        return test::run_task(queue_, device_->write_zeroes(queue_, io));
    }
    Status discard(std::uint64_t offset, std::uint64_t length, std::uint32_t flags = 0) {
        const IoRequest io(offset, length, flags);
        return test::run_task(queue_, device_->discard(queue_, io));
    }
    Status flush() { return test::run_task(queue_, device_->flush(queue_)); }
    Status compare_and_write(std::uint64_t offset, std::string expected, std::string bytes,
                             std::uint32_t flags = 0, std::uint64_t* progress = nullptr) {
        std::string both = expected + bytes;
        const SingleData data(both.data(), both.size());
        IoRequest io(offset, data, flags);
        io.length = expected.size();
        io.progress = progress;
        return test::run_task(queue_, device_->compare_and_write(queue_, io));
    }
    static Detached start(Task<Status> task, std::string& log, char letter) {
        Task<Status> running = std::move(task);
        const Status status = co_await running;
        log += status ? letter : '!';
    }

    Disk disk_;
    test::FakeQueue queue_;
    lunkit_handler handler_{};
    std::unique_ptr<PluginDevice> device_;
};

TEST_F(PluginDeviceTest, PassesRequestsOn) {
    open(asynchronous());
    EXPECT_TRUE(write(4096, std::string(512, 'w'), LUNKIT_IO_FUA));
    std::string into(1024, '?');
    EXPECT_TRUE(read(4096, into));
    EXPECT_EQ(std::string(512, 'w') + std::string(512, 'x'), into);
    EXPECT_TRUE(flush());
    EXPECT_THAT(disk_.calls, ElementsAre("write 4096+512 fua", "read 4096+1024", "flush"));
}

TEST_F(PluginDeviceTest, RefusesWhatLiesOutside) {
    open(asynchronous());
    std::string into(1024, '?');
    EXPECT_EQ(ERANGE, read(kSize - 512, into).error().code);
    EXPECT_EQ(ERANGE, read(UINT64_MAX - 511, into).error().code);
    EXPECT_EQ(ERANGE, write_zeroes(0, kSize + 512).error().code);
    EXPECT_TRUE(disk_.calls.empty());
}

TEST_F(PluginDeviceTest, RefusesPartsOfBlocks) {
    open(asynchronous());
    std::string into(100, '?');
    EXPECT_EQ(EINVAL, read(0, into).error().code);
    EXPECT_EQ(EINVAL, write(100, std::string(512, 'w')).error().code);
    EXPECT_TRUE(disk_.calls.empty());
}

TEST_F(PluginDeviceTest, RefusesDataTooShort) {
    open(asynchronous());
    std::string bytes(512, 'w');
    const SingleData data(bytes.data(), bytes.size());
    IoRequest io(0, data);
    io.length = 1024;
    EXPECT_EQ(EINVAL, test::run_task(queue_, device_->write(queue_, io)).error().code);
    EXPECT_TRUE(disk_.calls.empty());
}

TEST_F(PluginDeviceTest, NothingToMoveIsNotPassedOn) {
    open(asynchronous());
    std::string nothing;
    EXPECT_TRUE(read(0, nothing));
    EXPECT_TRUE(write(kSize, ""));
    EXPECT_TRUE(write_zeroes(0, 0));
    EXPECT_TRUE(compare_and_write(0, "", ""));
    EXPECT_TRUE(disk_.calls.empty());
}

TEST_F(PluginDeviceTest, ReadOnlyIsErofs) {
    OpenDevice request;
    request.read_only = true;
    ASSERT_TRUE(try_open(asynchronous(), std::move(request)));
    EXPECT_TRUE(device_->info().read_only);
    EXPECT_EQ(EROFS, write(0, std::string(512, 'w')).error().code);
    EXPECT_EQ(EROFS, write_zeroes(0, 512).error().code);
    EXPECT_EQ(EROFS, discard(0, 512).error().code);
    EXPECT_EQ(EROFS,
              compare_and_write(0, std::string(512, 'x'), std::string(512, 'y')).error().code);
    EXPECT_TRUE(disk_.calls.empty());
}

TEST_F(PluginDeviceTest, WithoutWriteItIsReadOnly) {
    lunkit_handler handler = asynchronous();
    handler.write = nullptr;
    open(handler);
    EXPECT_TRUE(device_->info().read_only);
}

TEST_F(PluginDeviceTest, SplitsByTheLimitsAndKeepsFua) {
    disk_.info.max_transfer = 4096 + 100;  // not whole blocks
    open(asynchronous());
    EXPECT_TRUE(write(512, std::string(9216, 'w'), LUNKIT_IO_FUA));
    EXPECT_THAT(disk_.calls,
                ElementsAre("write 512+4096 fua", "write 4608+4096 fua", "write 8704+1024 fua"));
    EXPECT_EQ(std::string(9216, 'w'), disk_.bytes.substr(512, 9216));
}

TEST_F(PluginDeviceTest, AnErrorOfALaterPieceCountsFromTheStart) {
    disk_.info.max_transfer = 4096;
    open(asynchronous());
    disk_.bytes.assign(kSize, 'x');
    std::string bytes(8192, 'w');
    const SingleData data(bytes.data(), bytes.size());
    const IoRequest io(0, data);
    disk_.queue = &queue_;
    std::string log;
    Task<Status> task = device_->write(queue_, io);
    struct Failing {
        static Detached run(Task<Status> task, Status* status) {
            Task<Status> running = std::move(task);
            *status = co_await running;
        }
    };
    Status status;
    Failing::run(std::move(task), &status);
    disk_.answer = -EIO;  // the second piece
    queue_.run_all();
    ASSERT_FALSE(status);
    EXPECT_EQ(4096U + 512U, status.error().offset);
}

TEST_F(PluginDeviceTest, DiscardIsSplitOrAbsent) {
    open(asynchronous());
    EXPECT_FALSE(device_->info().can_discard);
    EXPECT_EQ(EOPNOTSUPP, discard(0, 512).error().code);
    lunkit_handler handler = asynchronous();
    handler.discard = discard_disk;
    disk_.info.max_discard = 65536;
    open(handler);
    EXPECT_TRUE(device_->info().can_discard);
    EXPECT_TRUE(discard(0, 131072, LUNKIT_IO_FUA));
    EXPECT_THAT(disk_.calls, ElementsAre("discard 0+65536 fua", "discard 65536+65536 fua"));
}

TEST_F(PluginDeviceTest, ZeroesAreWrittenWhereTheHandlerHasNone) {
    open(asynchronous());
    EXPECT_TRUE(write_zeroes(512, 600 << 10U, LUNKIT_IO_FUA));
    EXPECT_EQ("x", disk_.bytes.substr(511, 1));
    EXPECT_EQ(std::string(600 << 10U, '\0'), disk_.bytes.substr(512, 600 << 10U));
    EXPECT_EQ("x", disk_.bytes.substr(512 + (600 << 10U), 1));
    EXPECT_THAT(disk_.calls.back(), HasSubstr(" fua"));
}

TEST_F(PluginDeviceTest, ZeroesThatTheHandlerCannotMakeAreWritten) {
    lunkit_handler handler = asynchronous();
    handler.write_zeroes = zero_disk;
    disk_.zero_answer = -EOPNOTSUPP;
    open(handler);
    EXPECT_TRUE(write_zeroes(0, 4096));
    EXPECT_THAT(disk_.calls, ElementsAre("zero 0+4096", "write 0+4096"));
    EXPECT_EQ(EOPNOTSUPP, write_zeroes(0, 4096, LUNKIT_IO_NO_FALLBACK).error().code);
}

TEST_F(PluginDeviceTest, ZeroesThatFailAreNotWritten) {
    lunkit_handler handler = asynchronous();
    handler.write_zeroes = zero_disk;
    disk_.zero_answer = -EIO;
    open(handler);
    EXPECT_EQ(EIO, write_zeroes(0, 4096).error().code);
    EXPECT_THAT(disk_.calls, ElementsAre("zero 0+4096"));
}

TEST_F(PluginDeviceTest, ComparesAndWrites) {
    open(asynchronous());
    EXPECT_TRUE(
        compare_and_write(512, std::string(512, 'x'), std::string(512, 'y'), LUNKIT_IO_FUA));
    EXPECT_EQ(std::string(512, 'y'), disk_.bytes.substr(512, 512));
    EXPECT_THAT(disk_.calls, ElementsAre("read 512+512", "write 512+512 fua"));
}

TEST_F(PluginDeviceTest, AMiscompareSaysWhereAndWritesNothing) {
    open(asynchronous());
    disk_.bytes[512 + 77] = '!';
    const Status status = compare_and_write(512, std::string(512, 'x'), std::string(512, 'y'));
    ASSERT_FALSE(status);
    EXPECT_EQ(EILSEQ, status.error().code);
    EXPECT_EQ(77U, status.error().offset);
    EXPECT_THAT(disk_.calls, ElementsAre("read 512+512"));
}

TEST_F(PluginDeviceTest, ARecordedComparisonIsNotRepeated) {
    open(asynchronous());
    std::uint64_t progress = 0;
    EXPECT_TRUE(compare_and_write(512, std::string(512, 'x'), std::string(512, 'y'), 0, &progress));
    EXPECT_EQ(1U, progress);
    // What it compared with is gone; a successor that does it again still has to succeed.
    EXPECT_TRUE(compare_and_write(512, std::string(512, 'x'), std::string(512, 'y'),
                                  LUNKIT_IO_REPLAY, &progress));
    EXPECT_THAT(disk_.calls, ElementsAre("read 512+512", "write 512+512", "write 512+512"));
}

TEST_F(PluginDeviceTest, AMiscompareIsNotRecorded) {
    open(asynchronous());
    std::uint64_t progress = 0;
    EXPECT_FALSE(
        compare_and_write(512, std::string(512, '!'), std::string(512, 'y'), 0, &progress));
    EXPECT_EQ(0U, progress);
}

TEST_F(PluginDeviceTest, ACompareAndWriteSaysWhetherReadingFailed) {
    open(asynchronous());
    disk_.answer = -EIO;
    const Status status = compare_and_write(512, std::string(512, 'x'), std::string(512, 'y'));
    EXPECT_EQ(EIO, status.error().code);
    EXPECT_TRUE(status.error().while_reading);
    lunkit_handler handler = asynchronous();
    handler.write = [](void* /*device*/, lunkit_queue* /*queue*/, const lunkit_io* /*io*/,
                       lunkit_completion* /*completion*/) { return -EIO; };
    open(handler);
    EXPECT_FALSE(
        compare_and_write(512, std::string(512, 'x'), std::string(512, 'y')).error().while_reading);
}

TEST_F(PluginDeviceTest, ComparingNothingNeedsNoData) {
    open(asynchronous());
    const IoRequest nothing(512, std::uint64_t{0});
    EXPECT_TRUE(test::run_task(queue_, device_->compare_and_write(queue_, nothing)));
    lunkit_handler handler = asynchronous();
    handler.compare_and_write = write_disk;
    open(handler);
    EXPECT_TRUE(test::run_task(queue_, device_->compare_and_write(queue_, nothing)));
    EXPECT_TRUE(disk_.calls.empty());
}

TEST_F(PluginDeviceTest, NothingComesBetweenCompareAndWrite) {
    open(asynchronous());
    disk_.queue = &queue_;
    std::string before(512, 'b');
    std::string both = std::string(512, 'b') + std::string(512, 'c');
    std::string after(512, 'd');
    std::string seen(512, '?');
    const SingleData before_data(before.data(), 512);
    const SingleData both_data(both.data(), 1024);
    const SingleData after_data(after.data(), 512);
    const SingleData seen_data(seen.data(), 512);
    const IoRequest write_before(0, before_data);
    IoRequest compare(0, both_data);
    compare.length = 512;
    const IoRequest write_after(0, after_data);
    const IoRequest read_after(0, seen_data);
    std::string log;
    start(device_->write(queue_, write_before), log, 'b');
    start(device_->compare_and_write(queue_, compare), log, 'c');
    start(device_->write(queue_, write_after), log, 'd');
    start(device_->read(queue_, read_after), log, 'r');
    queue_.run_all();
    EXPECT_EQ("bc", log.substr(0, 2));
    EXPECT_EQ(4U, log.size());
    EXPECT_THAT(disk_.calls[1], HasSubstr("read 0+512"));
    EXPECT_THAT(disk_.calls[2], HasSubstr("write 0+512"));
    EXPECT_EQ(std::string(512, 'd'), disk_.bytes.substr(0, 512));
}

TEST_F(PluginDeviceTest, AtomicWritesAreThoseThatTheHandlerPromises) {
    disk_.info.max_atomic_write = 1500;
    open(asynchronous());
    EXPECT_EQ(1024U, device_->info().max_atomic_write);
    EXPECT_TRUE(write(0, std::string(1024, 'a'), LUNKIT_IO_ATOMIC));
    EXPECT_EQ(EOPNOTSUPP, write(0, std::string(1536, 'b'), LUNKIT_IO_ATOMIC).error().code);
    EXPECT_EQ(ERANGE, write(kSize, std::string(512, 'b'), LUNKIT_IO_ATOMIC).error().code);
    EXPECT_THAT(disk_.calls, ElementsAre("write 0+1024"));
}

TEST_F(PluginDeviceTest, UnknownDeviceTypeIsRefused) {
    disk_.info.device_type = 0x1e;
    EXPECT_THAT(try_open(asynchronous()).error().what, HasSubstr("unknown type 30"));
}

TEST_F(PluginDeviceTest, NoAtomicWriteIsLongerThanATransfer) {
    disk_.info.max_atomic_write = 1 << 20;
    disk_.info.max_transfer = 4096;
    open(asynchronous());
    EXPECT_EQ(4096U, device_->info().max_atomic_write);
}

TEST_F(PluginDeviceTest, ABlockingHandlerHasNoAtomicWrites) {
    disk_.info.max_atomic_write = 4096;
    open(blocking());
    EXPECT_EQ(0U, device_->info().max_atomic_write);
    EXPECT_EQ(EOPNOTSUPP, write(0, std::string(512, 'a'), LUNKIT_IO_ATOMIC).error().code);
}

TEST_F(PluginDeviceTest, NobodySeesAPartOfAnAtomicWrite) {
    disk_.info.max_atomic_write = 4096;
    open(asynchronous());
    disk_.queue = &queue_;
    std::string bytes(1024, 'a');
    std::string seen(512, '?');
    const SingleData data(bytes.data(), bytes.size());
    const SingleData seen_data(seen.data(), seen.size());
    const IoRequest before(0, seen_data);
    const IoRequest atomic(0, data, LUNKIT_IO_ATOMIC);
    const IoRequest after(512, seen_data);
    std::string log;
    start(device_->read(queue_, before), log, 'b');
    start(device_->write(queue_, atomic), log, 'a');
    EXPECT_EQ(1U, disk_.calls.size());  // waits for the one that was there
    start(device_->read(queue_, after), log, 'r');
    EXPECT_EQ(1U, disk_.calls.size());  // waits for the atomic one
    queue_.run_all();
    EXPECT_EQ("bar", log);
    EXPECT_THAT(disk_.calls, ElementsAre("read 0+512", "write 0+1024", "read 512+512"));
}

TEST_F(PluginDeviceTest, OrsInPiecesOfBoundedMemory) {
    constexpr std::size_t kThreeMiB = 3U << 20U;
    disk_.bytes.assign(kThreeMiB, 'x');
    disk_.info.size = kThreeMiB;
    open(asynchronous());
    disk_.bytes[512] = '\x01';
    std::string bits((1U << 20U) + 1024, '\x02');
    const SingleData data(bits.data(), bits.size());
    const IoRequest io(512, data, LUNKIT_IO_FUA);
    EXPECT_TRUE(test::run_task(queue_, device_->or_write(queue_, io)));
    EXPECT_EQ('\x03', disk_.bytes[512]);
    EXPECT_EQ(std::string(bits.size() - 1, 'z'), disk_.bytes.substr(513, bits.size() - 1));
    EXPECT_EQ('x', disk_.bytes[512 + bits.size()]);
    EXPECT_THAT(disk_.calls, ElementsAre("read 512+1048576", "write 512+1048576 fua",
                                         "read 1049088+1024", "write 1049088+1024 fua"));
}

TEST_F(PluginDeviceTest, AnOrThatFailsSaysWhere) {
    lunkit_handler handler = asynchronous();
    disk_.info.max_transfer = 4096;
    open(handler);
    std::string bits(8192, '\x02');
    const SingleData data(bits.data(), bits.size());
    disk_.answer = -EIO;  // the disk says: 512 bytes in
    const Status status = test::run_task(queue_, device_->or_write(queue_, IoRequest(0, data)));
    ASSERT_FALSE(status);
    EXPECT_EQ(EIO, status.error().code);
    EXPECT_EQ(512U, status.error().offset);
    EXPECT_THAT(disk_.calls, ElementsAre("read 0+4096"));
}

TEST_F(PluginDeviceTest, AnOrOutsideOfTheDeviceIsRefused) {
    open(asynchronous());
    std::string bits(1024, '\x02');
    const SingleData data(bits.data(), bits.size());
    IoRequest io(disk_.bytes.size() - 512, data);
    EXPECT_EQ(ERANGE, test::run_task(queue_, device_->or_write(queue_, io)).error().code);
    io = IoRequest(100, data);
    EXPECT_EQ(EINVAL, test::run_task(queue_, device_->or_write(queue_, io)).error().code);
    EXPECT_TRUE(disk_.calls.empty());
}

TEST_F(PluginDeviceTest, NothingComesBetweenReadingAndWritingOfAnOr) {
    open(asynchronous());
    disk_.queue = &queue_;
    std::string bits(512, '\x01');
    std::string after(512, 'd');
    const SingleData bits_data(bits.data(), 512);
    const SingleData after_data(after.data(), 512);
    const IoRequest ored(0, bits_data);
    const IoRequest write_after(0, after_data);
    std::string log;
    start(device_->or_write(queue_, ored), log, 'o');
    start(device_->write(queue_, write_after), log, 'd');
    queue_.run_all();
    EXPECT_EQ("od", log);
    EXPECT_THAT(disk_.calls[0], HasSubstr("read 0+512"));
    EXPECT_THAT(disk_.calls[1], HasSubstr("write 0+512"));
    EXPECT_EQ(std::string(512, 'd'), disk_.bytes.substr(0, 512));
}

TEST_F(PluginDeviceTest, AnOrThatWaitedDoesNotGoBehindANewEnd) {
    open(asynchronous());
    disk_.queue = &queue_;
    std::string bits(512, '\x01');
    const SingleData data(bits.data(), 512);
    const IoRequest last(kSize - 512, data);
    std::string log;
    start(device_->write(queue_, last), log, 'w');
    start(device_->or_write(queue_, last), log, 'o');
    disk_.host->size_changed(disk_.host_device, kSize / 2);
    queue_.run_all();
    EXPECT_EQ("w!", log);
    EXPECT_EQ(1U, disk_.calls.size());
}

TEST_F(PluginDeviceTest, ExtentsAreCutToWhatWasAsked) {
    lunkit_handler handler = asynchronous();
    open(handler);
    EXPECT_FALSE(device_->info().can_extents);
    handler.extents = extents_of_disk;
    open(handler);
    std::array<Extent, 4> extents{};
    const IoRequest io(0, 65536);
    const auto count =
        test::run_task(queue_, device_->extents(queue_, io, std::span<Extent>(extents)));
    ASSERT_EQ(2U, count);
    EXPECT_EQ(65536U - 4096U, extents[1].length);
}

TEST_F(PluginDeviceTest, TellsTheSpaceThatTheHandlerTells) {
    lunkit_handler handler = asynchronous();
    open(handler);
    EXPECT_FALSE(device_->info().can_tell_space);
    EXPECT_EQ(EOPNOTSUPP, test::run_task(queue_, device_->space(queue_)).error().code);

    handler.space = space_of_disk;
    open(handler);
    EXPECT_TRUE(device_->info().can_tell_space);
    const auto space = test::run_task(queue_, device_->space(queue_));
    ASSERT_TRUE(space);
    EXPECT_EQ(4096U, space->used);
    EXPECT_EQ(8192U, space->available);
    EXPECT_TRUE(space->shared);
    disk_.answer = -EIO;
    EXPECT_EQ(EIO, test::run_task(queue_, device_->space(queue_)).error().code);

    disk_.info.flags |= LUNKIT_DEVICE_NO_SPACE;
    open(handler);
    EXPECT_EQ(EOPNOTSUPP, test::run_task(queue_, device_->space(queue_)).error().code);
}

TEST_F(PluginDeviceTest, BlockingCallbacksRunOnWorkers) {
    open(blocking());
    EXPECT_TRUE(write(4096, std::string(512, 'w')));
    std::string into(512, '?');
    EXPECT_TRUE(read(4096, into));
    EXPECT_EQ(std::string(512, 'w'), into);
    EXPECT_TRUE(flush());
    EXPECT_THAT(disk_.calls, ElementsAre("write 4096+512", "read 4096+512", "flush"));
}

TEST_F(PluginDeviceTest, BlockingFuaIsAFlushBehindTheWrite) {
    open(blocking());
    EXPECT_TRUE(write(0, std::string(512, 'w'), LUNKIT_IO_FUA));
    EXPECT_THAT(disk_.calls, ElementsAre("write 0+512", "flush"));
    disk_.calls.clear();
    EXPECT_TRUE(write_zeroes(0, 512 << 10U, LUNKIT_IO_FUA));
    EXPECT_EQ("flush", disk_.calls.back());
}

TEST_F(PluginDeviceTest, BlockingFuaIsFlushedByAnAsynchronousFlushToo) {
    lunkit_handler handler = blocking();
    handler.flush_blocking = nullptr;
    handler.flush = flush_disk;
    disk_.info.flags = LUNKIT_DEVICE_WRITE_CACHE;
    open(handler);
    EXPECT_TRUE(write(0, std::string(512, 'w'), LUNKIT_IO_FUA));
    EXPECT_THAT(disk_.calls, ElementsAre("write 0+512", "flush"));
}

TEST_F(PluginDeviceTest, SeveralQueuesAreForThoseWhoseCallsNeedNoTurn) {
    disk_.info.flags = LUNKIT_DEVICE_PARALLEL;
    open(asynchronous());
    EXPECT_TRUE(device_->info().parallel);
    open(blocking());
    EXPECT_FALSE(device_->info().parallel);
    lunkit_handler mixed = asynchronous();
    mixed.write = nullptr;
    mixed.write_blocking = write_blocking;
    open(mixed);
    EXPECT_FALSE(device_->info().parallel);
    mixed.flags = LUNKIT_HANDLER_PARALLEL;
    open(mixed);
    EXPECT_TRUE(device_->info().parallel);
}

TEST_F(PluginDeviceTest, BlockingDataInPiecesIsGathered) {
    open(blocking());
    std::string first(300, 'a');
    std::string second(212, 'b');
    const std::array<iovec, 2> iov{iovec{first.data(), 300}, iovec{second.data(), 212}};
    const Data data(iov, 512);
    const IoRequest io(1024, data);
    EXPECT_TRUE(test::run_task(queue_, device_->write(queue_, io)));
    EXPECT_EQ(first + second, disk_.bytes.substr(1024, 512));
    first.assign(300, '?');
    second.assign(212, '?');
    EXPECT_TRUE(test::run_task(queue_, device_->read(queue_, io)));
    EXPECT_EQ(std::string(300, 'a') + std::string(212, 'b'), first + second);
    EXPECT_THAT(disk_.calls, ElementsAre("write 1024+512", "read 1024+512"));
}

TEST_F(PluginDeviceTest, BlockingCallsOfADeviceComeOneByOne) {
    std::string log;
    std::string bytes(512, 'w');
    const SingleData data(bytes.data(), 512);
    const IoRequest io(0, data);
    open(blocking());
    start(device_->write(queue_, io), log, 'a');
    start(device_->write(queue_, io), log, 'b');
    EXPECT_EQ(1U, queue_.ready());
    queue_.run_all();
    EXPECT_EQ("ab", log);
    lunkit_handler handler = blocking();
    handler.flags = LUNKIT_HANDLER_PARALLEL;
    open(handler);
    start(device_->write(queue_, io), log, 'a');
    start(device_->write(queue_, io), log, 'b');
    EXPECT_EQ(2U, queue_.ready());
    queue_.run_all();
}

TEST_F(PluginDeviceTest, OnlyReadAndWriteBlockingIsEnough) {
    lunkit_handler handler = blocking();
    handler.flush_blocking = nullptr;
    open(handler);
    EXPECT_TRUE(write(0, std::string(512, 'w'), LUNKIT_IO_FUA));
    EXPECT_TRUE(write_zeroes(512, 1024));
    EXPECT_TRUE(compare_and_write(0, std::string(512, 'w'), std::string(512, 'v')));
    EXPECT_TRUE(flush());
    EXPECT_EQ(std::string(512, 'v') + std::string(1024, '\0'), disk_.bytes.substr(0, 1536));
}

TEST_F(PluginDeviceTest, ABlockingErrorIsPassedOn) {
    open(blocking());
    disk_.answer = -ENOSPC;
    EXPECT_EQ(ENOSPC, write(0, std::string(512, 'w')).error().code);
}

TEST_F(PluginDeviceTest, AWriteCacheWithoutFlushIsRefused) {
    disk_.info.flags = LUNKIT_DEVICE_WRITE_CACHE;
    lunkit_handler handler = asynchronous();
    handler.flush = nullptr;
    EXPECT_THAT(try_open(handler).error().what, HasSubstr("has a write cache and no flush"));
}

TEST_F(PluginDeviceTest, SmallerThanTheLunIsRefusedWithBothNumbers) {
    OpenDevice request;
    request.size = 2 * kSize;
    EXPECT_EQ("handler 'test' has 1048576 bytes here; 2097152 are asked for",
              try_open(asynchronous(), std::move(request)).error().what);
}

TEST_F(PluginDeviceTest, APartOfABlockIsRefusedBeforeTheHandlerOpens) {
    lunkit_handler handler = asynchronous();
    handler.open = [](const lunkit_open* /*request*/, void** /*device*/) {
        ADD_FAILURE() << "the handler may have created a file";
        return -EIO;
    };
    OpenDevice request;
    request.size = 8192 + 512;
    request.block_size = 4096;
    EXPECT_EQ("a size of 8704 bytes is no whole number of blocks of 4096",
              try_open(handler, std::move(request)).error().what);
}

TEST_F(PluginDeviceTest, BlocksThatNobodyUsesAreRefused) {
    for (const std::uint32_t size : {256U, 520U, 8192U, 1U << 31U}) {
        OpenDevice request;
        request.block_size = size;
        EXPECT_EQ(std::to_string(size).insert(0, "a block size of ") +
                      " bytes is not served; 512, 1024, 2048 and 4096 are",
                  try_open(asynchronous(), std::move(request)).error().what);
    }
}

TEST_F(PluginDeviceTest, StorageWithoutOneBlockIsRefused) {
    disk_.info.size = 511;
    EXPECT_EQ("handler 'test' has 511 bytes here, not one block of 512",
              try_open(asynchronous()).error().what);
}

TEST_F(PluginDeviceTest, LargerThanTheLunIsCutToIt) {
    OpenDevice request;
    request.size = kSize / 2;
    ASSERT_TRUE(try_open(asynchronous(), std::move(request)));
    EXPECT_EQ(kSize / 2, device_->info().size);
    std::string into(512, '?');
    EXPECT_EQ(ERANGE, read(kSize / 2, into).error().code);
}

TEST_F(PluginDeviceTest, BlocksTooSmallForTheHandlerAreRefused) {
    disk_.info.min_block_size = 4096;
    EXPECT_THAT(try_open(asynchronous()).error().what, HasSubstr("4096 bytes or more"));
    OpenDevice request;
    request.block_size = 4096;
    EXPECT_TRUE(try_open(asynchronous(), std::move(request)));
}

TEST_F(PluginDeviceTest, ResizeWithoutTheCallbackIsRefused) {
    open(asynchronous());
    EXPECT_TRUE(device_->resize(kSize));
    EXPECT_EQ(EOPNOTSUPP, device_->resize(2 * kSize).error().code);
}

TEST_F(PluginDeviceTest, ResizeTakesTheNewInfo) {
    lunkit_handler handler = asynchronous();
    handler.resize = [](void* /*device*/, std::uint64_t size, lunkit_device_info* info, char* error,
                        std::size_t error_size) {
        if (size < kSize) {
            (void)strncpy(error, "it would lose data", error_size);
            return -EPERM;
        }
        info->size = size;
        return 0;
    };
    open(handler);
    ASSERT_TRUE(device_->resize(2 * kSize));
    EXPECT_EQ(2 * kSize, device_->info().size);
    EXPECT_EQ("it would lose data", device_->resize(kSize / 2).error().what);
    EXPECT_EQ(EINVAL, device_->resize(kSize + 100).error().code);
    EXPECT_EQ(2 * kSize, device_->info().size);
}

/// A resize that does not wait has long come to the handler, which sets `resizes`.
void expect_still_waits(const std::atomic<bool>& resizes) {
    constexpr int kLongEnough = 10000;
    for (int i = 0; i < kLongEnough && !resizes; ++i) {
        std::this_thread::yield();
    }
    EXPECT_FALSE(resizes);
}

TEST_F(PluginDeviceTest, AShrinkWaitsForWritesBehindTheNewEnd) {
    static std::atomic<bool> resizes;
    resizes = false;
    lunkit_handler handler = asynchronous();
    handler.resize = [](void* /*device*/, std::uint64_t size, lunkit_device_info* info,
                        char* /*error*/, std::size_t /*error_size*/) {
        disk->calls.emplace_back("resize");
        resizes = true;
        info->size = size;
        return 0;
    };
    open(handler);
    disk_.queue = &queue_;
    std::string bytes(512, 'w');
    const SingleData data(bytes.data(), 512);
    const IoRequest above(kSize / 2, data);
    std::string log;
    start(device_->write(queue_, above), log, 'w');
    std::thread resizing([&] { EXPECT_TRUE(device_->resize(kSize / 2)); });
    expect_still_waits(resizes);
    // What comes now gets beyond the check of its range before or after the cut, never beside it.
    start(device_->write(queue_, above), log, 'l');
    queue_.run_all();
    resizing.join();
    queue_.run_all();
    EXPECT_EQ(kSize / 2, device_->info().size);
    EXPECT_EQ('w', log.at(0));
    EXPECT_EQ("resize", disk_.calls.back());
}

TEST_F(PluginDeviceTest, AShrinkWaitsForTheHandlersOwnCompareAndWrite) {
    static std::atomic<bool> resizes;
    resizes = false;
    lunkit_handler handler = asynchronous();
    handler.compare_and_write = write_disk;
    handler.resize = [](void* /*device*/, std::uint64_t size, lunkit_device_info* info,
                        char* /*error*/, std::size_t /*error_size*/) {
        resizes = true;
        info->size = size;
        return 0;
    };
    open(handler);
    disk_.queue = &queue_;
    std::string both(1024, 'w');
    const SingleData data(both.data(), both.size());
    IoRequest io(kSize / 2, data);
    io.length = 512;
    std::string log;
    start(device_->compare_and_write(queue_, io), log, 'c');
    std::thread resizing([&] { EXPECT_TRUE(device_->resize(kSize / 2)); });
    expect_still_waits(resizes);
    queue_.run_all();
    resizing.join();
    EXPECT_EQ("c", log);
}

TEST_F(PluginDeviceTest, AShrinkWaitsForExtentsBehindTheNewEnd) {
    static std::atomic<bool> resizes;
    resizes = false;
    lunkit_handler handler = asynchronous();
    handler.extents = [](void* /*device*/, lunkit_queue* /*queue*/, const lunkit_io* io,
                         lunkit_extent_list* list, lunkit_completion* completion) {
        list->extents[0] = {io->length, 0, 0};
        list->count = 1;
        return finish(completion);
    };
    handler.resize = [](void* /*device*/, std::uint64_t size, lunkit_device_info* info,
                        char* /*error*/, std::size_t /*error_size*/) {
        resizes = true;
        info->size = size;
        return 0;
    };
    open(handler);
    disk_.queue = &queue_;
    const IoRequest all(0, kSize);
    std::array<Extent, 1> extents{};
    std::string log;
    const auto look = [](PluginDevice& device, Queue& queue, const IoRequest& io,
                         std::span<Extent> into) -> Task<Status> {
        const auto count = co_await device.extents(queue, io, into);
        co_return count ? Status{} : std::unexpected(count.error());
    };
    start(look(*device_, queue_, all, extents), log, 'e');
    std::thread resizing([&] { EXPECT_TRUE(device_->resize(kSize / 2)); });
    expect_still_waits(resizes);
    queue_.run_all();
    resizing.join();
    EXPECT_EQ("e", log);
}

TEST_F(PluginDeviceTest, ASizeThatTheHandlerTellsIsServed) {
    std::vector<std::uint64_t> told;
    OpenDevice request;
    request.block_size = 4096;
    request.size = kSize / 4;
    request.size_changed = [&](std::uint64_t size) {
        told.push_back(size);
        EXPECT_EQ(size, device_->info().size);
    };
    ASSERT_TRUE(try_open(asynchronous(), std::move(request)));
    std::string into(4096, '?');
    EXPECT_EQ(ERANGE, read(kSize / 2 - 4096, into).error().code);
    disk_.host->size_changed(disk_.host_device, kSize / 2 + 512);
    EXPECT_TRUE(read(kSize / 2 - 4096, into));
    disk_.host->size_changed(disk_.host_device, kSize / 2);  // as many blocks as before
    disk_.host->size_changed(disk_.host_device, 512);        // not one block
    disk_.host->size_changed(disk_.host_device, 8192);
    EXPECT_EQ(ERANGE, read(8192, into).error().code);
    EXPECT_THAT(told, ElementsAre(kSize / 2, 8192));
}

TEST_F(PluginDeviceTest, ASizeToldDuringAResizeThatFailsStays) {
    lunkit_handler handler = asynchronous();
    handler.resize = [](void* /*device*/, std::uint64_t /*size*/, lunkit_device_info* /*info*/,
                        char* /*error*/, std::size_t /*error_size*/) {
        disk->host->size_changed(disk->host_device, kSize / 2);
        return -EIO;
    };
    open(handler);
    EXPECT_FALSE(device_->resize(kSize / 4));
    std::string into(512, '?');
    EXPECT_TRUE(read(kSize / 2 - 512, into));
    EXPECT_EQ(ERANGE, read(kSize / 2, into).error().code);
}

TEST_F(PluginDeviceTest, OpenErrorsAreTheHandlersSentence) {
    lunkit_handler handler = asynchronous();
    handler.open = [](const lunkit_open* request, void** /*device*/) {
        (void)strncpy(request->error, "no such thing", request->error_size);
        return -ENOENT;
    };
    EXPECT_EQ("no such thing", try_open(handler).error().what);
    handler.open = [](const lunkit_open* /*request*/, void** /*device*/) { return -ENOENT; };
    EXPECT_EQ("handler 'test': No such file or directory", try_open(handler).error().what);
}

}  // namespace lunkit::host
