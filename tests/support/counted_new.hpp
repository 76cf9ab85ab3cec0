// SPDX-License-Identifier: Apache-2.0
// Every operator new of the program is counted: for tests that nothing is allocated. A program that
// links counted_new.cpp has no other operator new.
#pragma once

#include <atomic>
#include <cstddef>

namespace lunkit::test {

extern std::atomic<std::size_t> allocations;

}  // namespace lunkit::test
