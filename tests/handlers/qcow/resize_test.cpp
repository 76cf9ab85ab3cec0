// SPDX-License-Identifier: Apache-2.0
// Disks that grow while they are served.
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>

#include "qcow_rig.hpp"

namespace lunkit::qcow {
namespace {

class Resized : public QcowRig {
  protected:
    /// The call is posted to the queue: requests turn its loop until it has run.
    void resize(std::uint64_t size) {
        std::optional<Status> resized;
        std::atomic<bool> ended{false};
        (void)read(0, 512);  // its queue is known from then on
        std::thread other([&] {
            resized = device_->resize(size);
            ended = true;
        });
        while (!ended) {
            (void)read(0, 512);
        }
        other.join();
        ASSERT_TRUE(*resized) << resized->error().what;
        EXPECT_EQ(size, device_->info().size);
    }
};

TEST_F(Resized, GrowsAndTheNewPartReadsAsZeros) {
    create("image", "cluster_size=4k", kMiB + 512);
    open("image");
    ASSERT_TRUE(write(0, noise(kMiB + 512, 1)));
    std::string model = read(0, kMiB + 512);
    ASSERT_NO_FATAL_FAILURE(resize(40 * kMiB));
    model.resize(40 * kMiB, '\0');
    EXPECT_EQ(model, read(0, 40 * kMiB));
    ASSERT_TRUE(write(39 * kMiB, std::string(4096, 'x')));
    model.replace(39 * kMiB, 4096, std::string(4096, 'x'));
    close();
    expect_clean("image");
    expect_content("image", model);
}
}  // namespace
}  // namespace lunkit::qcow
