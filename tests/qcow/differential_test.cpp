// SPDX-License-Identifier: Apache-2.0
// The same requests to a copy through the handler and to another through qemu-io, with qemu-img at
// work on both in between: the disks, and every snapshot, must stay the same.
#include <algorithm>
#include <random>

#include <fmt/format.h>

#include "lunkit/io_request.hpp"
#include "rig/image_kind.hpp"
#include "rig/plugin_test.hpp"

namespace lunkit::qcow_rig {
namespace {

constexpr std::uint64_t kUnit = 65536;  // discards: whole clusters, as qemu does no others

struct Request {
    Verb verb;
    std::uint64_t offset;
    std::uint64_t length;
    unsigned pattern;
    std::uint32_t flags;
};

class Differential : public PluginTest, public testing::WithParamInterface<const char*> {
  protected:
    void SetUp() override {
        PluginTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) {
            return;
        }
        seed_ = setting("LUNKIT_SEED", 1);
        random_.seed(seed_);
        auto built = BuiltImage::build(*find_kind(GetParam()));
        ASSERT_TRUE(built) << built.error().what;
        image_ = std::move(*built);
        size_ = image_->kind().size;
        other_ = image_->folder() / "other.qcow2";
        const auto content = read_file(ours());
        ASSERT_TRUE(content);
        ASSERT_TRUE(write_file(other_, *content));
    }
    [[nodiscard]] std::string ours() const { return image_->path(); }

    Request random_request() {
        Request request{Verb::kWrite, random_() % size_ / 512 * 512, 512ULL << random_() % 9,
                        static_cast<unsigned>(1 + random_() % 255), 0};
        const std::uint64_t dice = random_() % 10;
        if (dice < 2) {
            request.verb = Verb::kWriteZeroes;
            request.flags = dice == 0 ? LUNKIT_IO_MAY_UNMAP : 0U;
        } else if (dice == 2) {
            request.verb = Verb::kDiscard;
            request.offset = request.offset / kUnit * kUnit;
            request.length = kUnit * (1 + random_() % 4);
        } else if (dice == 3) {
            request.flags = LUNKIT_IO_FUA;
        }
        request.length = std::min(request.length, size_ - request.offset);
        return request;
    }

    void apply_to_ours(const std::vector<Request>& requests) {
        RecordingHost host(random_(), nullptr);
        auto subject = Subject::open(entry(), host, {.config = ours()});
        ASSERT_TRUE(subject) << subject.error().what;
        for (const Request& request : requests) {
            Status status;
            if (request.verb == Verb::kWrite) {
                Bytes data(request.length, static_cast<std::byte>(request.pattern));
                status = (*subject)->run(request.verb, request.offset, data, request.flags);
            } else if ((*subject)->offers(request.verb)) {
                status =
                    (*subject)->run(request.verb, request.offset, request.length, request.flags);
            }
            ASSERT_TRUE(status) << "request at " << request.offset << ": error "
                                << status.error().code;
        }
        (*subject)->close();
    }

    void apply_to_other(const std::vector<Request>& requests) {
        std::vector<std::string> command{"qemu-io", "-t", "writeback", "-d",
                                         "unmap",   "-f", "qcow2"};
        for (const Request& request : requests) {
            const std::string range = fmt::format("{} {}", request.offset, request.length);
            command.emplace_back("-c");
            command.push_back(
                request.verb == Verb::kWrite ? fmt::format("write -P {} {}", request.pattern, range)
                : request.verb == Verb::kDiscard
                    ? "discard " + range
                    : fmt::format("write -z{} {}", request.flags != 0 ? "u" : "", range));
        }
        command.push_back(other_);
        const Status status = must_run(command);
        ASSERT_TRUE(status) << status.error().what;
    }

    void exchange(unsigned count) {
        std::vector<Request> requests(count);
        std::ranges::generate(requests, [this] { return random_request(); });
        ASSERT_NO_FATAL_FAILURE(apply_to_ours(requests));
        ASSERT_NO_FATAL_FAILURE(apply_to_other(requests));
        ASSERT_NO_FATAL_FAILURE(compare());
    }

    void compare() {
        const Finished check = run_program({"qemu-img", "check", ours()});
        ASSERT_EQ(0, check.exit_code) << "seed " << seed_ << ": " << check.output;
        const Finished same =
            run_program({"qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", ours(), other_});
        ASSERT_EQ(0, same.exit_code) << "seed " << seed_ << ": " << same.output;
        for (const std::string& snapshot : snapshots_) {
            for (const std::string& path : {ours(), other_}) {
                const Status read =
                    must_run({"qemu-img", "convert", "-f", "qcow2", "-l",
                              "snapshot.name=" + snapshot, "-O", "raw", path, path + ".raw"});
                ASSERT_TRUE(read) << read.error().what;
            }
            const auto mine = read_file(ours() + ".raw");
            const auto others = read_file(other_ + ".raw");
            ASSERT_TRUE(mine && others);
            ASSERT_TRUE(*mine == *others) << "snapshot " << snapshot << ", seed " << seed_;
        }
    }

    void both(std::vector<std::string> command) {
        for (const std::string& path : {ours(), other_}) {
            std::vector<std::string> full = command;
            std::ranges::replace(full, std::string("IMAGE"), path);
            const Status status = must_run(full);
            ASSERT_TRUE(status) << status.error().what;
        }
    }

    /// One of the things that an administrator does while the disk is not served.
    void offline_work() {
        const std::uint64_t dice = random_() % 5;
        if (dice == 0 || snapshots_.empty()) {
            snapshots_.push_back(fmt::format("s{}", ++made_));
            both({"qemu-img", "snapshot", "-c", snapshots_.back(), "IMAGE"});
        } else if (dice == 1) {
            both(
                {"qemu-img", "snapshot", "-a", snapshots_[random_() % snapshots_.size()], "IMAGE"});
        } else if (dice == 2) {
            const auto gone =
                snapshots_.begin() + static_cast<std::ptrdiff_t>(random_() % snapshots_.size());
            both({"qemu-img", "snapshot", "-d", *gone, "IMAGE"});
            snapshots_.erase(gone);
        } else if (dice == 3) {
            size_ += kUnit;
            both({"qemu-img", "resize", "-q", "-f", "qcow2", "IMAGE", std::to_string(size_)});
            // Going back to an old snapshot changes the size too; that is another test.
            for (const std::string& snapshot : snapshots_) {
                both({"qemu-img", "snapshot", "-d", snapshot, "IMAGE"});
            }
            snapshots_.clear();
        } else {
            both({"qemu-img", "check", "-q", "-r", "all", "IMAGE"});
        }
    }

    std::uint64_t seed_ = 1;
    std::mt19937_64 random_;
    std::unique_ptr<BuiltImage> image_;
    std::string other_;
    std::uint64_t size_ = 0;
    std::vector<std::string> snapshots_;
    unsigned made_ = 0;
};

TEST_P(Differential, SameRequestsGiveTheSameDisk) {
    for (std::uint64_t i = 0; i < setting("LUNKIT_DIFFERENTIAL_ROUNDS", 2); ++i) {
        ASSERT_NO_FATAL_FAILURE(exchange(60));
    }
}

TEST_P(Differential, OfflineWorkOfQemuImgInBetween) {
    if (std::string_view(image_->kind().name) == "snapshot") {
        snapshots_.emplace_back("first");
    }
    for (std::uint64_t i = 0; i < setting("LUNKIT_DIFFERENTIAL_ROUNDS", 2) * 3; ++i) {
        ASSERT_NO_FATAL_FAILURE(offline_work());
        ASSERT_NO_FATAL_FAILURE(exchange(15));
    }
}

TEST_P(Differential, RebaseAndCommitAfterwards) {
    if (image_->kind().backing == Backing::kNone) {
        GTEST_SKIP() << "has no backing file";
    }
    ASSERT_NO_FATAL_FAILURE(exchange(30));
    both({"qemu-img", "rebase", "-f", "qcow2", "-b", "", "IMAGE"});
    ASSERT_NO_FATAL_FAILURE(compare());
    ASSERT_NO_FATAL_FAILURE(exchange(30));
}

INSTANTIATE_TEST_SUITE_P(Kind, Differential,
                         testing::Values("v3", "c4k", "lazy", "extl2", "zlib", "zstd", "snapshot",
                                         "zeros", "backing-raw", "backing-chain", "backing-long"),
                         [](const auto& made) {
                             std::string name = made.param;
                             std::ranges::replace(name, '-', '_');
                             return name;
                         });

}  // namespace
}  // namespace lunkit::qcow_rig
