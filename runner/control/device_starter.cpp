// SPDX-License-Identifier: Apache-2.0
#include "control/device_starter.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "core/log.hpp"

namespace lunkit::control {
namespace {

using core::LogLevel;

constexpr std::chrono::milliseconds kAgain{200};

bool has(const auto& devices, const DeclaredDevice& device) {
    return std::ranges::any_of(
        devices, [&device](const DeclaredDevice& other) { return other.is_same(device); });
}

}  // namespace

void DeviceStarter::start(std::vector<DeclaredDevice> declared) {
    std::erase_if(were_there_,
                  [&declared](const DeclaredDevice& device) { return !has(declared, device); });
    std::erase_if(waiting_, [this, &declared](const DeclaredDevice& device) {
        return !has(asked_, device) || !has(declared, device);  // asked for an earlier node
    });
    again_.clear();
    told_.clear();  // who has the files read again looks for what is missing
    with_nodes_.clear();
    std::vector<std::string> nodes;
    for (const DeclaredDevice& device : declared) {
        if (!device.awaited_node.empty()) {
            with_nodes_.push_back(device);
            nodes.push_back(device.awaited_node);
        }
    }
    if (const Status watched = nodes_.watch(nodes); !watched) {
        core::log(LogLevel::kError, {}, "{}; a declared device whose node comes later is not made",
                  watched.error().what);
    }
    for (DeclaredDevice& device : declared) {
        if (has(were_there_, device) || has(asked_, device) || has(waiting_, device)) {
            continue;
        }
        if (awaits_node(device)) {
            core::log(LogLevel::kInfo, {.device = device.wanted.config}, "{}: waiting for {}",
                      device.file, device.awaited_node);
        } else {
            waiting_.push_back(std::move(device));
        }
    }
    ask_for_next();
}

bool DeviceStarter::awaits_node(const DeclaredDevice& device) const {
    return !device.awaited_node.empty() && !nodes_.is_there(device.awaited_node);
}

/// Whatever was made of an earlier node of the name has gone with it.
void DeviceStarter::appeared(const std::string& node) {
    for (const DeclaredDevice& device : with_nodes_) {
        if (device.awaited_node == node && !has(waiting_, device)) {
            std::erase_if(were_there_, [&](const DeclaredDevice& o) { return o.is_same(device); });
            waiting_.push_back(device);
        }
    }
    ask_for_next();
}

void DeviceStarter::stop() {
    with_nodes_.clear();
    waiting_.clear();
    again_.clear();
    timer_.stop();
}

void DeviceStarter::ask_for_next() {
    if (awaited_ || waiting_.empty()) {
        return;
    }
    const DeclaredDevice device = std::move(waiting_.front());
    waiting_.pop_front();
    asked_.push_back(device);
    awaited_ = device;
    timer_.start(patience_, LoopTimer::Repeat::kOnce, [this] {
        core::log(LogLevel::kWarning, {.device = awaited_->wanted.config},
                  "{}: not there after {} s, going on with the others", awaited_->file,
                  std::chrono::ceil<std::chrono::seconds>(patience_).count());
        awaited_.reset();
        ask_for_next();
    });
    add_(device.front_end, device.wanted,
         [this, device](const Result<std::string>& node) { answered(device, node); });
}

void DeviceStarter::answered(const DeclaredDevice& device, const Result<std::string>& node) {
    const auto is_this = [&device](const DeclaredDevice& other) { return other.is_same(device); };
    std::erase_if(asked_, is_this);
    if (node || node.error().code != EAGAIN) {
        std::erase_if(told_, is_this);
    }
    const bool was_there = !node && node.error().code == EALREADY;
    if (node || was_there) {
        were_there_.push_back(device);
        core::log(LogLevel::kInfo, {.device = device.wanted.config}, "{}: {}", device.file,
                  was_there ? node.error().what + ", leaving it as it is" : *node);
    } else if (node.error().code == EAGAIN && has(with_nodes_, device)) {
        if (!has(told_, device)) {
            told_.push_back(device);
            core::log(LogLevel::kNotice, {.device = device.wanted.config}, "{}: {}; trying again",
                      device.file, node.error().what);
        }
        again_.push_back(device);
        again_timer_.start(kAgain, LoopTimer::Repeat::kOnce, [this] {
            std::ranges::move(std::exchange(again_, {}), std::back_inserter(waiting_));
            ask_for_next();
        });
    } else if (node.error().code != ECANCELED) {
        core::log(LogLevel::kError, {.device = device.wanted.config}, "{}: {}", device.file,
                  node.error().what);
    }
    if (awaited_ && awaited_->is_same(device)) {
        awaited_.reset();
        timer_.stop();
        ask_for_next();
    }
}

}  // namespace lunkit::control
