// SPDX-License-Identifier: Apache-2.0
// What the tests of the handler share: they skip, and are counted as skipped, where qemu-img is
// missing.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>

#include "rig/process.hpp"
#include "rig/subject.hpp"

namespace lunkit::qcow_rig {

class PluginTest : public testing::Test {
  protected:
    void SetUp() override {
        if (!have_qemu()) {
            GTEST_SKIP() << "qemu-img and qemu-io are not installed: NOTHING WAS TESTED";
        }
        auto loaded = load_plugin(LUNKIT_QCOW_PLUGIN);
        ASSERT_TRUE(loaded) << loaded.error().what;
        entry_ = *loaded;
    }
    [[nodiscard]] HandlerEntry entry() const { return entry_; }

    /// A number from the environment, else `otherwise`.
    static std::uint64_t setting(const char* name, std::uint64_t otherwise) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets the environment of a test
        const char* const given = std::getenv(name);
        return given != nullptr ? std::strtoull(given, nullptr, 0) : otherwise;
    }

  private:
    HandlerEntry entry_ = nullptr;
};

}  // namespace lunkit::qcow_rig
