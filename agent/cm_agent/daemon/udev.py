# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Contexts that come and go, as udev reports them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import pyudev

SUBSYSTEM: Final = "cm"


@dataclass(frozen=True, slots=True)
class ContextEvent:
    """Say what happened (`add`, `remove`, `change`, ...) to the node of which name."""

    action: str
    name: str


class ContextMonitor:
    """Follow the devices of subsystem `cm` after udev has set up their nodes.

    `fileno()` is readable when events wait; the monitor owns that descriptor. OSError when the
    netlink socket cannot be made. Synchronization: use from one thread.
    """

    def __init__(self) -> None:
        self._monitor: pyudev.Monitor | None = pyudev.Monitor.from_netlink(
            pyudev.Context(), source="udev"
        )
        self._monitor.filter_by(SUBSYSTEM)
        self._monitor.start()

    def events(self) -> list[ContextEvent]:
        """Return the events that wait, without waiting for one."""
        if self._monitor is None:
            raise ValueError("the udev monitor is closed")
        waiting: list[ContextEvent] = []
        while (device := self._monitor.poll(timeout=0)) is not None:
            name = device.sys_name.rsplit("/", 1)[-1]
            waiting.append(ContextEvent(device.action or "change", name))
        return waiting

    def fileno(self) -> int:
        """Return the netlink socket, for a selector; it stays the monitor's."""
        if self._monitor is None:
            raise ValueError("the udev monitor is closed")
        return int(self._monitor.fileno())

    def close(self) -> None:
        """Leave; the socket closes with libudev's object, whose only holder this is."""
        self._monitor = None

    def __bool__(self) -> bool:
        """Return whether the monitor is open."""
        return self._monitor is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
