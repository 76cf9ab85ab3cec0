// SPDX-License-Identifier: Apache-2.0
#include "host/handler_registry.hpp"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>

#include "core/queue_set.hpp"
#include "support/engine_rig.hpp"
#include "support/run_task.hpp"

namespace lunkit::host {

using ::testing::HasSubstr;

class Registry : public ::testing::Test {
  protected:
    Registry() { std::filesystem::create_directory(plugins_); }

    /// A copy that only this user can have changed.
    std::string copy(const std::string& name) {
        const std::string to = plugins_ + "/" + name;
        std::filesystem::copy_file(std::string(HANDLER_DIR) + "/" + name, to);
        EXPECT_EQ(0, ::chmod(to.c_str(), 0755));
        return to;
    }
    test::BuildFolder folder_;
    const std::string plugins_ = folder_ / "plugins";
    HandlerRegistry registry_;
};

TEST_F(Registry, LoadsTheHandlersOfAFolder) {
    copy("handler_file.so");
    copy("handler_ram.so");
    test::write_file(plugins_ + "/notes.txt", "not a plugin");
    const Status status = registry_.load_directory(plugins_);
    ASSERT_TRUE(status) << status.error().what;
    const auto list = registry_.list();
    ASSERT_EQ(2U, list.size());
    EXPECT_EQ("file", list[0].name);
    EXPECT_EQ("ram", list[1].name);
    EXPECT_EQ(LUNKIT_ABI_VERSION, list[0].abi_version);
    EXPECT_THAT(list[0].config_help, HasSubstr("direct=on|off"));
}

TEST_F(Registry, LeavesOutWhatDoesNotLoad) {
    copy("handler_ram.so");
    test::write_file(plugins_ + "/handler_broken.so", "not an object");
    ASSERT_TRUE(registry_.load_directory(plugins_));
    EXPECT_EQ(1U, registry_.list().size());
    EXPECT_THAT(registry_.load(plugins_ + "/handler_broken.so").error().what,
                HasSubstr("handler_broken.so does not load: "));
}

TEST_F(Registry, APluginThatWasCutShortIsRefusedAndKillsNobody) {
    for (const std::uint64_t size : {100U, 4096U, 10000U}) {
        const std::string path = copy("handler_ram.so");
        std::filesystem::resize_file(path, size);
        EXPECT_EQ(path + " is cut short", registry_.load(path).error().what) << size << " bytes";
        std::filesystem::remove(path);
    }
}

TEST_F(Registry, AFolderThatIsNotThereIsAnError) {
    EXPECT_EQ(ENOENT, registry_.load_directory(folder_ / "none").error().code);
}

// What they keep for each thread must not be of the little that the loader has for plugins of the
// initial-exec model: the fourth did not load.
TEST_F(Registry, AnyNumberOfPluginsFitBesideEachOther) {
    const std::string plugin = copy("handler_ram.so");
    for (int i = 0; i < 64; ++i) {
        const std::string other = plugins_ + "/other_" + std::to_string(i) + ".so";
        std::filesystem::copy_file(plugin, other);
        ASSERT_NE(nullptr, ::dlopen(other.c_str(), RTLD_NOW | RTLD_LOCAL)) << i;  // stays loaded
    }
}

TEST_F(Registry, OneNameOnce) {
    const std::string first = copy("handler_ram.so");
    ASSERT_TRUE(registry_.load(first));
    std::filesystem::copy_file(first, plugins_ + "/handler_too.so");
    const Status status = registry_.load(plugins_ + "/handler_too.so");
    ASSERT_FALSE(status);
    EXPECT_EQ(EEXIST, status.error().code);
    EXPECT_EQ(plugins_ + "/handler_too.so: there is a handler 'ram' already, from " + first,
              status.error().what);
}

TEST_F(Registry, WhatOthersCouldHaveChangedIsNotLoadedByRoot) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "only root looks";
    }
    const std::string path = copy("handler_ram.so");
    ASSERT_EQ(0, ::chmod(path.c_str(), 0775));
    EXPECT_EQ(path + " can be changed by others than root; nothing is loaded from there",
              registry_.load(path).error().what);
    ASSERT_EQ(0, ::chmod(path.c_str(), 0755));
    ASSERT_EQ(0, ::chmod(plugins_.c_str(), 0757));
    EXPECT_EQ(EPERM, registry_.load_directory(plugins_).error().code);
    EXPECT_EQ(EPERM, registry_.load(path).error().code);
    std::filesystem::create_symlink(path, folder_ / "handler_link.so");
    EXPECT_EQ(EPERM, registry_.load(folder_ / "handler_link.so").error().code);
    ASSERT_EQ(0, ::chmod(plugins_.c_str(), 0755));
    ASSERT_EQ(0, ::chown(path.c_str(), 12345, 0));
    EXPECT_EQ(EPERM, registry_.load(path).error().code);
}

TEST_F(Registry, FindsTheHandlerByItsWholeName) {
    ASSERT_TRUE(registry_.load(copy("handler_ram.so")));
    EXPECT_TRUE(registry_.knows("ram/disk"));
    EXPECT_TRUE(registry_.knows("ram"));
    EXPECT_FALSE(registry_.knows("ramdisk/x"));
    EXPECT_FALSE(registry_.knows("ra/x"));
    EXPECT_FALSE(registry_.knows(""));
}

TEST_F(Registry, AnUnknownHandlerIsNamedWithTheKnownOnes) {
    ASSERT_TRUE(registry_.load(copy("handler_ram.so")));
    EXPECT_EQ("there is no handler 'rbd' (there are: ram)",
              registry_.check_config("rbd/x", false).error().what);
    EXPECT_EQ("'rbd' is not <handler>/<what it serves>",
              registry_.check_config("rbd", false).error().what);
    OpenDevice request;
    request.config = "rbd/x";
    EXPECT_EQ(ENOENT, registry_.open(std::move(request)).error().code);
}

TEST_F(Registry, ChecksConfigurationsByTheHandler) {
    ASSERT_TRUE(registry_.load(copy("handler_ram.so")));
    EXPECT_TRUE(registry_.check_config("ram/disk-1", false));
    EXPECT_EQ("unknown key 'colour'",
              registry_.check_config("ram/disk-1;colour=red", false).error().what);
}

TEST_F(Registry, FilterKeysAreCheckedHereAndDoNotReachTheHandler) {
    ASSERT_TRUE(registry_.load(copy("handler_ram.so")));
    EXPECT_TRUE(registry_.check_config("ram/disk-1;filter.readonly=on", true));
    EXPECT_EQ("filter.delay.read: '5' is no time such as 100us, 5ms or 2s, of at most 3600s",
              registry_.check_config("ram/disk-1;filter.delay.read=5", true).error().what);
    EXPECT_EQ("unknown key 'colour'",
              registry_.check_config("ram/d;filter.offset=1M;colour=red", true).error().what);
}

class FilteredDevice : public Registry {
  protected:
    FilteredDevice() {
        EXPECT_TRUE(registry_.load(copy("handler_file.so")));
        test::write_file(file_, test::pattern(1 << 20));
    }
    Result<std::unique_ptr<BlockDevice>> open(const std::string& keys, std::uint64_t size = 0) {
        OpenDevice request;
        request.config = "file/" + file_ + keys;
        request.size = size;
        return registry_.open(std::move(request));
    }
    const std::string file_ = folder_ / "disk";
};

TEST_F(FilteredDevice, IsReadOnlyWhereThatIsAskedFor) {
    EXPECT_FALSE((*open(""))->info().read_only);
    EXPECT_TRUE((*open(";filter.readonly=on"))->info().read_only);
    EXPECT_FALSE((*open(";filter.readonly=off"))->info().read_only);
}

TEST_F(FilteredDevice, ServesAPartOfAFileThatIsLarger) {
    const auto part = open(";direct=off;filter.offset=4096;filter.size=8192", 8192);
    ASSERT_TRUE(part) << part.error().what;
    EXPECT_EQ(8192U, (*part)->info().size);
}

TEST_F(FilteredDevice, AWrongKeyIsAnErrorBeforeTheHandlerIsAsked) {
    std::filesystem::remove(file_);
    const auto opened = open(";filter.delay.raed=5ms", 1 << 20);
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().what, HasSubstr("unknown key 'filter.delay.raed'"));
    EXPECT_FALSE(std::filesystem::exists(file_)) << "nothing was made";
}

TEST_F(FilteredDevice, StopsWithTheDaemonAsTheFrontEndSays) {
    OpenDevice request;
    request.config = "file/" + file_ + ";filter.delay.flush=3600s";
    request.handing_over = [] { return true; };
    const auto device = registry_.open(std::move(request));
    ASSERT_TRUE(device);
    const auto queues =
        core::QueueSet::start(core::EngineChoice::kAuto, 1, std::chrono::microseconds(0));
    ASSERT_TRUE(queues);
    EXPECT_TRUE(
        test::run_task_on((*queues)->at(0), [&](Queue& queue) { return (*device)->flush(queue); }));
}

}  // namespace lunkit::host
