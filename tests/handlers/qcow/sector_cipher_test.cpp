// SPDX-License-Identifier: Apache-2.0
// SectorCipher with many threads, and where libgcrypt keeps its key schedules.
#include <gcrypt.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "qcow/sector_cipher.hpp"

namespace lunkit::qcow {
namespace {

std::unique_ptr<SectorCipher> make_cipher(const char* mode) {
    const auto spec = find_cipher("aes", mode, 32);
    auto key = SecretBytes::allocate(32);
    EXPECT_TRUE(spec && key);
    std::ranges::fill(key->span(), std::byte{0x5a});
    auto cipher = SectorCipher::make(*spec, std::move(*key));
    EXPECT_TRUE(cipher);
    return std::move(*cipher);
}

TEST(SectorCipher, ThreadsEncryptSideBySideAsOneDoes) {
    constexpr std::size_t kThreads = 8;
    constexpr std::size_t kSectors = 32;  // of a thread
    constexpr int kRounds = 100;
    for (const char* const mode : {"xts-plain64", "cbc-essiv:sha256"}) {
        const std::unique_ptr<SectorCipher> cipher = make_cipher(mode);
        const std::vector<std::byte> clear(kThreads * kSectors * kCryptSector, std::byte{7});
        std::vector<std::byte> expected = clear;
        ASSERT_EQ(0, cipher->encrypt(expected, 0));
        ASSERT_NE(clear, expected);
        std::vector<int> bad(kThreads);
        std::vector<std::jthread> threads;
        for (std::size_t thread = 0; thread < kThreads; ++thread) {
            threads.emplace_back([&, thread] {
                const std::size_t at = thread * kSectors * kCryptSector;
                const auto want = std::span(expected).subspan(at, kSectors * kCryptSector);
                for (int round = 0; round < kRounds; ++round) {
                    std::vector<std::byte> bytes(want.size(), std::byte{7});
                    bad[thread] += cipher->encrypt(bytes, thread * kSectors) != 0 ? 1 : 0;
                    bad[thread] += std::ranges::equal(bytes, want) ? 0 : 1;
                    bad[thread] += cipher->decrypt(bytes, thread * kSectors) != 0 ? 1 : 0;
                    bad[thread] += std::ranges::count(bytes, std::byte{7}) ==
                                           static_cast<std::ptrdiff_t>(bytes.size())
                                       ? 0
                                       : 1;
                }
            });
        }
        threads.clear();  // joins them
        EXPECT_EQ(std::vector<int>(kThreads), bad) << mode;
    }
}

/// The flags of the mapping at `address` (proc_pid_smaps(5)).
std::string mapping_flags(const void* address) {
    const auto wanted = reinterpret_cast<std::uintptr_t>(address);
    std::ifstream maps("/proc/self/smaps");
    bool found = false;
    for (std::string line; std::getline(maps, line);) {
        std::uintptr_t begin = 0;
        std::uintptr_t end = 0;
        // NOLINTNEXTLINE(cert-err34-c): a line of another kind gives fewer than two numbers
        if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
            found = begin <= wanted && wanted < end;
        } else if (found && line.starts_with("VmFlags:")) {
            return line + " ";
        }
    }
    return "";
}

TEST(SectorCipher, KeySchedulesStayOutOfCoreDumps) {
    ASSERT_TRUE(prepare_gcrypt());
    void* const block = gcry_malloc_secure(64);
    ASSERT_NE(nullptr, block);
    const std::string flags = mapping_flags(block);
    gcry_free(block);
    EXPECT_NE(std::string::npos, flags.find(" dd ")) << flags;
}

}  // namespace
}  // namespace lunkit::qcow
