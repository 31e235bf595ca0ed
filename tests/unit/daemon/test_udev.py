# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""udev's events, received through the real libudev."""

from __future__ import annotations

import select
import socket
import struct

import pytest
from cm_agent.daemon.udev import ContextEvent, ContextMonitor

KOBJECT_UEVENT = 15
UDEV_GROUP = 2


def murmur(text: bytes) -> int:
    """Return MurmurHash2 with seed 0, by which libudev lets the kernel filter subsystems."""
    factor, mask = 0x5BD1E995, 0xFFFFFFFF
    value = len(text)
    whole = len(text) & ~3
    for (word,) in struct.iter_unpack("<I", text[:whole]):
        word = word * factor & mask
        word = (word ^ word >> 24) * factor & mask
        value = (value * factor & mask) ^ word
    if tail := text[whole:]:
        value = (value ^ int.from_bytes(tail, "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15


def message(subsystem: str, action: str, name: str) -> bytes:
    """Return what udevd multicasts when it is done with a device."""
    pairs = {
        "ACTION": action,
        "DEVPATH": f"/devices/virtual/{subsystem}/{name}",
        "SUBSYSTEM": subsystem,
        "DEVNAME": f"/dev/{subsystem}/{name}",
        "SEQNUM": "1",
        "MAJOR": "240",
        "MINOR": "0",
    }
    body = b"".join(f"{key}={value}".encode() + b"\0" for key, value in pairs.items())
    lengths = struct.pack("=III", 40, 40, len(body))
    hashes = struct.pack(">IIII", murmur(subsystem.encode()), 0, 0, 0)
    return b"libudev\0" + struct.pack(">I", 0xFEEDCAFE) + lengths + hashes + body


def multicast(*messages: bytes) -> None:
    """Send as udevd does; skip where this process may not."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, KOBJECT_UEVENT) as sender:
        sender.bind((0, 0))
        for one in messages:
            try:
                sender.sendto(one, (0, UDEV_GROUP))
            except PermissionError:
                pytest.skip("sending as udevd needs root with CAP_NET_ADMIN")


def test_reports_contexts_and_nothing_else() -> None:
    with ContextMonitor() as monitor:
        assert monitor.events() == []
        multicast(
            message("block", "add", "sda"),
            message("cm", "add", "left"),
            message("cm", "remove", "left"),
        )
        assert select.select([monitor], [], [], 5)[0] == [monitor]
        assert monitor.events() == [ContextEvent("add", "left"), ContextEvent("remove", "left")]
        assert monitor.events() == []


def test_closes_once_and_for_all() -> None:
    monitor = ContextMonitor()
    assert monitor and monitor.fileno() > 2
    monitor.close()
    monitor.close()
    assert not monitor
    with pytest.raises(ValueError, match="closed"):
        monitor.fileno()
    with pytest.raises(ValueError, match="closed"):
        monitor.events()
