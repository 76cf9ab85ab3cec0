// SPDX-License-Identifier: Apache-2.0
// Locks both ways, with the runner's real host: qemu's programs stay away from an image that is
// served, and an image that they use is not served.
#include <unistd.h>

#include <utility>

#include "host/handler_registry.hpp"
#include "rig/image_kind.hpp"
#include "rig/plugin_test.hpp"
#include "support/child_process.hpp"

namespace lunkit::qcow_rig {
namespace {

class Lock : public PluginTest {
  protected:
    void SetUp() override {
        PluginTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) {
            return;
        }
        const Status status = registry_.load(LUNKIT_QCOW_PLUGIN);
        ASSERT_TRUE(status) << status.error().what;
        auto built = BuiltImage::build(*find_kind("backing-chain"));
        ASSERT_TRUE(built) << built.error().what;
        image_ = std::move(*built);
    }
    [[nodiscard]] Result<std::unique_ptr<BlockDevice>> open() const {
        host::OpenDevice request;
        request.config = "qcow/" + image_->path();
        request.name = "disk";
        return registry_.open(std::move(request));
    }

    host::HandlerRegistry registry_;
    std::unique_ptr<BuiltImage> image_;
};

TEST_F(Lock, QemuRefusesAnImageThatIsServed) {
    const auto device = open();
    ASSERT_TRUE(device) << device.error().what;
    const Finished write = run_program({"qemu-io", "-c", "write 0 64k", image_->path()});
    EXPECT_NE(std::string::npos, write.output.find("lock")) << write.output;
    const Finished check = run_program({"qemu-img", "check", image_->path()});
    EXPECT_NE(0, check.exit_code);
    EXPECT_NE(std::string::npos, check.output.find("lock")) << check.output;
}

TEST_F(Lock, QemuMayNotWriteToABackingFileThatIsServed) {
    const auto device = open();
    ASSERT_TRUE(device) << device.error().what;
    const Finished write =
        run_program({"qemu-io", "-c", "write 0 64k", image_->folder() / "base.qcow2"});
    EXPECT_NE(std::string::npos, write.output.find("lock")) << write.output;
    const Finished read =
        run_program({"qemu-io", "-r", "-c", "read 0 64k", image_->folder() / "base.qcow2"});
    EXPECT_EQ(0, read.exit_code) << read.output;
}

TEST_F(Lock, ClosedAgainTheImageIsFree) {
    {
        const auto device = open();
        ASSERT_TRUE(device) << device.error().what;
    }
    const Finished write = run_program({"qemu-io", "-c", "write 0 64k", image_->path()});
    EXPECT_EQ(0, write.exit_code) << write.output;
}

TEST_F(Lock, ASecondDeviceOnTheSameImageIsRefused) {
    const auto device = open();
    ASSERT_TRUE(device) << device.error().what;
    const auto second = open();
    ASSERT_FALSE(second);
    EXPECT_NE(std::string::npos, second.error().what.find(image_->path())) << second.error().what;
}

TEST_F(Lock, AnImageThatQemuServesIsRefused) {
    const std::string socket = image_->folder() / "nbd.socket";
    test::ChildProcess storage(
        {"qemu-storage-daemon", "--blockdev",
         "driver=qcow2,node-name=n0,file.driver=file,file.filename=" + image_->path(),
         "--nbd-server", "addr.type=unix,addr.path=" + socket, "--export",
         "type=nbd,id=e0,node-name=n0,name=disk,writable=on", "--pidfile", image_->folder() / "pid",
         "--chardev", "stdio,id=c0", "--monitor", "chardev=c0"});
    ASSERT_TRUE(storage.wait_output("QMP")) << storage.printed();
    const auto device = open();
    ASSERT_FALSE(device) << "it was opened while qemu-storage-daemon writes to it";
    EXPECT_NE(std::string::npos, device.error().what.find(image_->path())) << device.error().what;
}

}  // namespace
}  // namespace lunkit::qcow_rig
