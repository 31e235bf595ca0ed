# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The service's side of systemd's notification protocol: sd_notify(3) by the standard library.

Not by systemd-python, which PyPI has as source only: build/venv would need a compiler and the
headers of libsystemd on every machine that runs the tests.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Report to the service manager what the service is doing; do nothing where there is none.

    No descriptor is kept between messages. A message that cannot be sent raises OSError.
    Synchronization: none needed, messages are independent datagrams.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_interval = _watchdog_interval(environ)

    def __bool__(self) -> bool:
        """Return whether a service manager listens."""
        return bool(self._address)

    def ready(self, status: str) -> bool:
        """Report that start or reload is complete; return whether a manager was notified."""
        return self._send("READY=1", f"STATUS={status}")

    def status(self, status: str) -> bool:
        """Report one line for people; return whether a manager was notified."""
        return self._send(f"STATUS={status}")

    def reloading(self) -> bool:
        """Report that the configuration is read anew; `ready` must follow."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> bool:
        """Report that the service is on its way out; return whether a manager was notified."""
        return self._send("STOPPING=1", "STATUS=stopping")

    def watchdog(self) -> bool:
        """Report that the service is alive; return whether a manager was notified."""
        return self._send("WATCHDOG=1")

    def _send(self, *assignments: str) -> bool:
        if not self._address:
            return False
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
        with socket.socket(socket.AF_UNIX, kind) as sender:
            sender.connect(self._address)
            sender.sendall("\n".join(a.replace("\n", " ") for a in assignments).encode())
        return True


def _address(value: str) -> str:
    if value and value[0] not in "/@":
        raise OSError(
            errno.EAFNOSUPPORT,
            f"NOTIFY_SOCKET={value}: neither a path nor an abstract socket (@name)",
        )
    return "\0" + value[1:] if value.startswith("@") else value


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    """Return the seconds within which a ping is due, None when this process owes none."""
    timeout = environ.get("WATCHDOG_USEC")
    if timeout is None or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    if not (timeout.isascii() and timeout.isdecimal() and int(timeout) > 0):
        raise OSError(errno.EINVAL, f"WATCHDOG_USEC={timeout}: not a positive number")
    return int(timeout) / 1e6
