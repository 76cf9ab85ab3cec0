#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Another TCMU daemon, as far as lunkitd can meet it: it hears the kernel's events and does with new devices as it is told.

usage: other_runner.py listens|approves|refuses|takes
  listens   does nothing
  approves  answers each event with success, at once
  refuses   answers that the device could not be had
  takes     opens the device's node, keeps it, and answers with success

Prints a line for each event once it is dealt with. linux/target_core_user.h; generic netlink.
"""
import os
import socket
import struct
import sys

GENERIC, CONTROLLER = 16, 0x10
GET_FAMILY, FAMILY_ID, FAMILY_NAME, GROUPS, GROUP_NAME, GROUP_ID = 3, 1, 2, 7, 1, 2
ADD_MEMBERSHIP, SOL_NETLINK = 1, 270
DONE_OF = {1: 4, 2: 5, 3: 6}    # added, removed, reconfigured
DEVICE, MINOR, STATUS, DEVICE_ID, REPLIES = 1, 2, 7, 8, 9
SET_FEATURES = 7
ENOENT = 2


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data):
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind & 0x3fff] = data[4:length]
        data = data[(length + 3) & ~3:]
    return found


def message(family, command, version, payload, flags=1):
    return struct.pack("=IHHII", 20 + len(payload), family, flags, 0, 0) + struct.pack("=BBH", command, version, 0) + payload


def request(sock, family, command, payload):
    """Sends it with a wish for an acknowledgement; the kernel's verdict, 0 or -errno."""
    sock.send(message(family, command, 2, payload, flags=5))
    return struct.unpack_from("=i", sock.recv(8192), 16)[0]


def main():
    manner = sys.argv[1]
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, GENERIC)
    events.bind((0, 0))
    events.send(message(CONTROLLER, GET_FAMILY, 1, attribute(FAMILY_NAME, b"TCM-USER\0")))
    family = attributes(events.recv(8192)[20:])
    number = struct.unpack("=H", family[FAMILY_ID])[0]
    for group in attributes(family[GROUPS]).values():
        group = attributes(group)
        if group[GROUP_NAME] == b"config\0":
            events.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, struct.unpack("=I", group[GROUP_ID])[0])
    requests = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, GENERIC)
    requests.bind((0, 0))
    if (error := request(requests, number, SET_FEATURES, attribute(REPLIES, b"\1"))) != 0:
        sys.exit(f"SET_FEATURES: {error}")
    print("listening", flush=True)
    nodes = []
    while True:
        data = events.recv(65536)
        command = data[16]
        event = attributes(data[20:])
        minor = struct.unpack("=I", event[MINOR])[0]
        if manner == "takes" and command == 1:
            nodes.append(os.open(f"/dev/uio{minor}", os.O_RDWR))
        verdict = "not answered"
        if manner != "listens":
            status = -ENOENT if manner == "refuses" and command == 1 else 0
            verdict = request(requests, number, DONE_OF[command],
                              attribute(STATUS, struct.pack("=i", status)) + attribute(DEVICE_ID, event[DEVICE_ID]))
        print("event", command, event[DEVICE].rstrip(b"\0").decode(), verdict, flush=True)


main()
