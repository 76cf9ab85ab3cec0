// SPDX-License-Identifier: Apache-2.0
// EngineRig: a test that runs on a real queue of each engine, with a folder of its own on the file
// system of the build tree.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "core/engine_queue.hpp"
#include "core/worker_pool.hpp"
#include "lunkit/task.hpp"
#include "support/run_task.hpp"

namespace lunkit::core {
inline void PrintTo(EngineChoice engine, std::ostream* out) {
    *out << (engine == EngineChoice::kUring ? "uring" : "threads");
}
}  // namespace lunkit::core

namespace lunkit::test {

/// A folder in the working folder (the build tree), because /tmp is often in memory.
class BuildFolder {
  public:
    BuildFolder() {
        std::string name = (std::filesystem::current_path() / "test-XXXXXX").string();
        path_ = ::mkdtemp(name.data()) != nullptr ? name : "";
    }
    BuildFolder(const BuildFolder&) = delete;
    BuildFolder& operator=(const BuildFolder&) = delete;
    BuildFolder(BuildFolder&&) = delete;
    BuildFolder& operator=(BuildFolder&&) = delete;
    ~BuildFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] std::string operator/(std::string_view name) const {
        return path_ + "/" + std::string(name);
    }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

/// `size` bytes that differ from each other and from those of another seed.
inline std::string pattern(std::size_t size, unsigned seed = 1) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<char>((i * 7 + i / 251 + seed * 31U) % 253 + 1);
    }
    return bytes;
}

inline void write_file(const std::string& path, std::string_view bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}
inline std::string read_file(const std::string& path) {
    std::string bytes(std::filesystem::file_size(path), '\0');
    std::ifstream file(path, std::ios::binary);
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return bytes;
}

/// Starts all the tasks in one turn of the loop and runs it until the last has ended.
template <typename T>
std::vector<T> run_together(core::EngineQueue& queue, std::vector<Task<T>> tasks) {
    std::vector<std::optional<T>> kept(tasks.size());
    std::size_t left = tasks.size();
    detail::Posted start([&] {
        for (std::size_t i = 0; i < kept.size(); ++i) {
            detail::drive(std::move(tasks[i]), kept[i], [&] {
                if (--left == 0) {
                    queue.stop();
                }
            });
        }
    });
    queue.post(&start);
    queue.run();
    std::vector<T> results;
    for (std::optional<T>& one : kept) {
        results.push_back(std::move(*one));
    }
    return results;
}

class EngineRig : public ::testing::TestWithParam<core::EngineChoice> {
  protected:
    void SetUp() override {
        auto made = core::make_queue(GetParam(), pool_, std::chrono::microseconds(0));
        if (!made) {
            GTEST_SKIP() << made.error().what;
        }
        queue_ = std::move(*made);
    }
    template <typename T>
    T run(Task<T> task) {
        return run_task(*queue_, std::move(task));
    }
    core::EngineQueue& queue() { return *queue_; }

    BuildFolder folder_;

  private:
    core::WorkerPool pool_;
    std::unique_ptr<core::EngineQueue> queue_;
};

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): gtest's own form
#define LUNKIT_ON_EACH_ENGINE(suite)                                                         \
    INSTANTIATE_TEST_SUITE_P(                                                                \
        Engines, suite,                                                                      \
        ::testing::Values(lunkit::core::EngineChoice::kUring,                                \
                          lunkit::core::EngineChoice::kThreads),                             \
        [](const auto& tested) {                                                             \
            return tested.param == lunkit::core::EngineChoice::kUring ? "uring" : "threads"; \
        })

}  // namespace lunkit::test
