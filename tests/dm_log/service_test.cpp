// SPDX-License-Identifier: Apache-2.0
// The service from datagram to datagram, on its own thread, with a pair of sockets in place of
// the connector.
#include "dm_log/dm_log_service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <future>

#include "host/handler_registry.hpp"
#include "requests.hpp"
#include "support/child_process.hpp"

namespace lunkit::dm_log {
namespace {

using abi::RequestType;
using test::request;
using test::with_numbers;
using test::with_text;
using namespace std::chrono_literals;

class DmLogServiceTest : public testing::Test {
  protected:
    void SetUp() override {
        settings_.run_dir = run_dir_.path();
        settings_.engine = core::EngineChoice::kThreads;
        queues_ = *core::QueueSet::start(core::EngineChoice::kThreads, 1, 0us);
        runtime_ = std::make_unique<core::Runtime>(core::Runtime{*queues_, handlers_, settings_});
        start_service();
    }
    void TearDown() override { stop_service(); }

    void start_service() {
        std::array<int, 2> ends{};
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
        kernel_.reset(ends[0]);
        service_ = std::make_unique<DmLogService>(
            *runtime_,
            Surroundings{.open_connector =
                             [fd = ends[1]] { return Result<Connector>(Connector(UniqueFd(fd))); },
                         .uuids_in_tables = [this] { return tables_; }});
        const Status started = service_->start();
        ASSERT_TRUE(started) << started.error().what;
    }
    void stop_service() {
        std::promise<bool> clean;
        service_->stop([&clean](bool is_clean) { clean.set_value(is_clean); });
        EXPECT_TRUE(clean.get_future().get());
        service_.reset();
    }
    void send(const Request& asked) {
        std::vector<std::byte> bytes;
        // A request is laid out as an answer is.
        Answer data = Answer::failed_with_room(0, asked.data().size());
        encode_answer(asked, data, bytes);
        std::ranges::copy(asked.data(),
                          bytes.end() - static_cast<std::ptrdiff_t>(asked.data().size()));
        ASSERT_EQ(::send(kernel_.get(), bytes.data(), bytes.size(), 0),
                  static_cast<ssize_t>(bytes.size()));
    }
    Request receive() {
        pollfd waited{kernel_.get(), POLLIN, 0};
        std::array<std::byte, 2048> room{};
        EXPECT_EQ(::poll(&waited, 1, 10'000), 1);
        const ssize_t size = ::recv(kernel_.get(), room.data(), room.size(), MSG_DONTWAIT);
        Request sender;
        const auto answer = parse_request(
            std::span(room).first(static_cast<std::size_t>(std::max<ssize_t>(size, 0))), &sender);
        EXPECT_TRUE(answer);
        return answer.value_or(Request());
    }
    Request ask(Request asked) {
        asked.head.seq = ++seq_;
        send(asked);
        const Request answer = receive();
        EXPECT_EQ(answer.head.seq, seq_);
        EXPECT_EQ(answer.head.luid, asked.head.luid);
        return answer;
    }

    test::TemporaryFolder run_dir_;
    core::Settings settings_;
    host::HandlerRegistry handlers_;
    std::unique_ptr<core::QueueSet> queues_;
    std::unique_ptr<core::Runtime> runtime_;
    std::unique_ptr<DmLogService> service_;
    UniqueFd kernel_;
    Result<LogUuids> tables_ = LogUuids{"mirror-a"};
    std::uint32_t seq_ = 100;
};

TEST_F(DmLogServiceTest, AnswersOverTheSocketAndAfterARestart) {
    EXPECT_EQ(ask(with_text(request(RequestType::kCtr), "2048 core 1024 nosync")).head.error, 0);
    EXPECT_EQ(ask(request(RequestType::kResume)).head.error, 0);
    EXPECT_EQ(ask(with_numbers(request(RequestType::kMarkRegion), {1})).head.error, 0);
    EXPECT_EQ(service_->list().at(0).regions_dirty, 1U);
    stop_service();
    start_service();
    const Request clean = ask(with_numbers(request(RequestType::kIsClean), {1}));
    ASSERT_TRUE(clean.has_numbers(1));
    EXPECT_EQ(clean.number(0), 0U);
}

TEST_F(DmLogServiceTest, LogOfAMirrorThatIsGoneIsDropped) {
    EXPECT_EQ(ask(with_text(request(RequestType::kCtr), "2048 core 1024")).head.error, 0);
    EXPECT_EQ(ask(request(RequestType::kResume)).head.error, 0);
    stop_service();
    tables_ = failure(EACCES, "nobody can say");
    start_service();
    EXPECT_EQ(ask(request(RequestType::kGetSyncCount)).head.error, 0);
    stop_service();
    tables_ = LogUuids{"mirror-b"};
    start_service();
    EXPECT_EQ(ask(request(RequestType::kGetSyncCount)).head.error, -ESRCH);
}

TEST_F(DmLogServiceTest, WhatWasSentBeforeTheStopIsAnswered) {
    EXPECT_EQ(ask(with_text(request(RequestType::kCtr), "2048 core 1024 nosync")).head.error, 0);
    Request asked = request(RequestType::kResume);
    asked.head.seq = 77;
    send(asked);
    stop_service();
    EXPECT_EQ(receive().head.seq, 77U);
    start_service();
}

// The kernel would wait for its answers.
TEST_F(DmLogServiceTest, AServiceThatCannotStartLeavesTheSocket) {
    stop_service();
    settings_.run_dir = "/proc/nothing";
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    kernel_.reset(ends[0]);
    DmLogService service(
        *runtime_,
        Surroundings{
            .open_connector = [fd = ends[1]] { return Result<Connector>(Connector(UniqueFd(fd))); },
            .uuids_in_tables = [this] { return tables_; }});
    EXPECT_FALSE(service.start());
    char byte = 0;
    EXPECT_EQ(::recv(kernel_.get(), &byte, 1, MSG_DONTWAIT), 0);  // the other end is closed
    settings_.run_dir = run_dir_.path();
    start_service();
}

TEST_F(DmLogServiceTest, DatagramsThatAreNoRequestsDoNotDisturb) {
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{4000}}) {
        const std::vector<std::byte> noise(size, std::byte{0x5a});
        ASSERT_GE(::send(kernel_.get(), noise.data(), noise.size(), 0), 0);
    }
    EXPECT_EQ(ask(request(RequestType::kGetSyncCount)).head.error, -ESRCH);
}

TEST_F(DmLogServiceTest, RequestWhoseLengthsLieIsRefused) {
    Request asked = with_numbers(request(RequestType::kMarkRegion), {1});
    std::vector<std::byte> bytes;
    asked.head.seq = 7;
    encode_answer(asked, Answer(), bytes);  // without the data that it announces below
    const std::uint32_t data_size = 8;
    std::memcpy(bytes.data() + 36 + 156, &data_size, sizeof data_size);
    ASSERT_GT(::send(kernel_.get(), bytes.data(), bytes.size(), 0), 0);
    const Request answer = receive();
    EXPECT_EQ(answer.head.seq, 7U);
    EXPECT_EQ(answer.head.error, -EINVAL);
}

TEST(DmLogServiceStart, WithoutAConnectorItSaysWhy) {
    core::Settings settings;
    host::HandlerRegistry handlers;
    const auto queues = *core::QueueSet::start(core::EngineChoice::kThreads, 1, 0us);
    core::Runtime runtime{*queues, handlers, settings};
    DmLogService service(
        runtime,
        {.open_connector = [] { return Result<Connector>(failure(ENODEV, "there is none")); },
         .uuids_in_tables = {}});
    const Status status = service.start();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ENODEV);
    EXPECT_TRUE(service.list().empty());
}

}  // namespace
}  // namespace lunkit::dm_log
