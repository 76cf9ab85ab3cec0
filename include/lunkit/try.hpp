// SPDX-License-Identifier: Apache-2.0
// TRY and its kin: pass an Error on to the caller. They are statements that declare, never
// expressions: g++ 12 crashes on co_await inside a statement expression.
//   TRY(auto fd, open_file(path));          CHECK(prepare());
//   CO_TRY(Mapping m, co_await lookup(x));  CO_CHECK(co_await flush());
#pragma once

#include <expected>
#include <utility>

// NOLINTBEGIN(cppcoreguidelines-macro-usage): returning from the caller needs a macro
// NOLINTBEGIN(bugprone-macro-parentheses): the arguments are keywords, names and declarations
#define LUNKIT_JOIN_(a, b) a##b
#define LUNKIT_JOIN(a, b) LUNKIT_JOIN_(a, b)
#define LUNKIT_TRY_(temporary, keyword, declaration, expression) \
    auto temporary = (expression);                               \
    if (!temporary) {                                            \
        keyword std::unexpected(std::move(temporary).error());   \
    }                                                            \
    declaration = *std::move(temporary)
#define LUNKIT_CHECK_(temporary, keyword, expression)          \
    if (auto temporary = (expression); !temporary) {           \
        keyword std::unexpected(std::move(temporary).error()); \
    }                                                          \
    static_assert(true, "a semicolon follows")

#define TRY(declaration, expression) \
    LUNKIT_TRY_(LUNKIT_JOIN(try_, __LINE__), return, declaration, expression)
#define CO_TRY(declaration, expression) \
    LUNKIT_TRY_(LUNKIT_JOIN(try_, __LINE__), co_return, declaration, expression)
#define CHECK(expression) LUNKIT_CHECK_(LUNKIT_JOIN(check_, __LINE__), return, expression)
#define CO_CHECK(expression) LUNKIT_CHECK_(LUNKIT_JOIN(check_, __LINE__), co_return, expression)
// NOLINTEND(bugprone-macro-parentheses)
// NOLINTEND(cppcoreguidelines-macro-usage)
