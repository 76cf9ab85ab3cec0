// SPDX-License-Identifier: Apache-2.0
// GLib's objects with owners, and its callbacks as C++ callables. Everything here belongs to the
// thread of the default main context ("the loop"), unless it says otherwise.
#pragma once

#include <gio/gio.h>
#include <glib.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace lunkit::control {

struct ObjectUnref {
    void operator()(gpointer object) const { g_object_unref(object); }
};
template <typename T>
using ObjectPtr = std::unique_ptr<T, ObjectUnref>;

struct VariantUnref {
    void operator()(GVariant* variant) const { g_variant_unref(variant); }
};
using VariantPtr = std::unique_ptr<GVariant, VariantUnref>;

struct CharFree {
    void operator()(char* text) const { g_free(text); }
};
using CharPtr = std::unique_ptr<char, CharFree>;

/// As D-Bus has it, which takes valid UTF-8 only: names in configfs are any bytes.
inline CharPtr valid_utf8(const std::string& text) {
    return CharPtr(g_utf8_make_valid(text.data(), static_cast<gssize>(text.size())));
}
inline GVariant* string_variant(const std::string& text) {
    return g_variant_new_take_string(valid_utf8(text).release());
}

/// Room for the GError of one call: `call(..., error.out())`.
class ErrorSlot {
  public:
    ErrorSlot() = default;
    ErrorSlot(const ErrorSlot&) = delete;
    ErrorSlot& operator=(const ErrorSlot&) = delete;
    ErrorSlot(ErrorSlot&&) = delete;
    ErrorSlot& operator=(ErrorSlot&&) = delete;
    ~ErrorSlot() { g_clear_error(&error_); }
    [[nodiscard]] GError** out() {
        g_clear_error(&error_);
        return &error_;
    }
    [[nodiscard]] const GError* get() const { return error_; }
    [[nodiscard]] std::string message() const {
        return error_ == nullptr ? "unknown error" : error_->message;
    }
    [[nodiscard]] bool is(GQuark domain, int code) const {
        return g_error_matches(error_, domain, code) != FALSE;
    }

  private:
    GError* error_ = nullptr;
};

/// What ends an asynchronous GIO call: pass `run_finish, finish_with([...](GObject*, GAsyncResult*)
/// {...})` as its last two arguments. It may run after its caller has gone: capture weak pointers.
using Finish = std::move_only_function<void(GObject*, GAsyncResult*)>;
inline gpointer finish_with(Finish finish) {
    return new Finish(std::move(finish));
}
inline void run_finish(GObject* source, GAsyncResult* result, gpointer data) {
    const std::unique_ptr<Finish> finish(static_cast<Finish*>(data));
    (*finish)(source, result);
}

/// Any thread: runs `call` once, later, from the loop.
inline void post_to_loop(std::move_only_function<void()> call) {
    using Call = std::move_only_function<void()>;
    g_idle_add_full(
        G_PRIORITY_DEFAULT,
        [](gpointer data) -> gboolean {
            (*static_cast<Call*>(data))();
            return G_SOURCE_REMOVE;
        },
        new Call(std::move(call)), [](gpointer data) { delete static_cast<Call*>(data); });
}

/// A timer of the loop. Stops when it goes.
class LoopTimer {
  public:
    enum class Repeat : bool { kOnce, kEvery };

    LoopTimer() = default;
    LoopTimer(const LoopTimer&) = delete;
    LoopTimer& operator=(const LoopTimer&) = delete;
    LoopTimer(LoopTimer&&) = delete;
    LoopTimer& operator=(LoopTimer&&) = delete;
    ~LoopTimer() { stop(); }

    void start(std::chrono::milliseconds interval, Repeat repeat, std::function<void()> call) {
        stop();
        call_ = std::move(call);
        repeat_ = repeat;
        source_ = g_timeout_add(static_cast<guint>(interval.count()), &LoopTimer::fire, this);
    }
    void stop() {
        if (source_ != 0) {
            g_source_remove(std::exchange(source_, 0));
        }
    }
    [[nodiscard]] bool running() const { return source_ != 0; }

  private:
    static gboolean fire(gpointer data) {
        auto* const self = static_cast<LoopTimer*>(data);
        const std::function<void()> call = self->call_;  // the timer may be restarted or go inside
        const bool again = self->repeat_ == Repeat::kEvery;
        if (!again) {
            self->source_ = 0;
        }
        call();
        return again ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
    }

    std::function<void()> call_;
    Repeat repeat_ = Repeat::kOnce;
    guint source_ = 0;
};

}  // namespace lunkit::control
