// SPDX-License-Identifier: Apache-2.0
// The names under which lunkitd is found on the system bus.
#pragma once

namespace lunkit::control {

/// The one name that targetcli asks for, whichever TCMU daemon runs.
inline constexpr const char* kBusName = "org.kernel.TCMUService1";
/// The ObjectManager; every object below it becomes a `user:<last component>` in targetcli.
inline constexpr const char* kTcmuPath = "/org/kernel/TCMUService1";
/// Where other programs register handlers: below, and yet none of that ObjectManager's objects.
inline constexpr const char* kHandlerManagerPath = "/org/kernel/TCMUService1/HandlerManager1";
/// Our own management, outside that ObjectManager.
inline constexpr const char* kManagerPath = "/org/lunkit";
inline constexpr const char* kInvalidSettingsError = "org.lunkit.Error.InvalidSettings";
inline constexpr const char* kNoSuchDeviceError = "org.lunkit.Error.NoSuchDevice";
inline constexpr const char* kFailedError = "org.lunkit.Error.Failed";

}  // namespace lunkit::control
