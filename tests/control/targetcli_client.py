#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Finds the handlers and checks a configuration the way targetcli does: PyGObject, an ObjectManager
proxy, one proxy for each object, everything with default flags. Prints what it was told."""
import sys

from gi.repository import Gio

NAME = "org.kernel.TCMUService1"
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)
objects = Gio.DBusProxy.new_sync(bus, Gio.DBusProxyFlags.NONE, None, NAME,
                                 "/org/kernel/TCMUService1",
                                 "org.freedesktop.DBus.ObjectManager", None)
for path, interfaces in sorted(objects.GetManagedObjects().items()):
    handler = Gio.DBusProxy.new_sync(bus, Gio.DBusProxyFlags.NONE, None, NAME, path, NAME, None)
    name = path.split("/")[-1]
    print("backstore user:%s %r" % (name, interfaces[NAME]["ConfigDesc"]))
    if name in sys.argv[1:]:
        print("check", handler.CheckConfig("(s)", name + "//missing"))
        print("change", handler.ChangeMedium("(sts)", "disk1", 1 << 20, name + "/x"))
