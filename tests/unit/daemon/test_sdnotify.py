# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""systemd's notification protocol, received on real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cm_agent.daemon.sdnotify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Yield a service manager's socket and the NOTIFY_SOCKET that names it."""
    name = str(tmp_path / "n") if request.param == "path" else f"@cm-agent-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0", 1) if name[0] == "@" else name)
        receiver.settimeout(5)
        yield receiver, name


def test_sends_each_message(manager: tuple[socket.socket, str]) -> None:
    receiver, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert notifier
    for notified, message in (
        (notifier.ready("2 contexts"), "READY=1\nSTATUS=2 contexts"),
        (notifier.status("one\nline"), "STATUS=one line"),
        (notifier.watchdog(), "WATCHDOG=1"),
        (notifier.stopping(), "STOPPING=1\nSTATUS=stopping"),
    ):
        assert notified is True
        assert receiver.recv(4096).decode() == message


def test_reloading_carries_the_monotonic_clock(manager: tuple[socket.socket, str]) -> None:
    receiver, name = manager
    Notifier({"NOTIFY_SOCKET": name}).reloading()
    first, second = receiver.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    assert second.removeprefix("MONOTONIC_USEC=").isdecimal()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}])
def test_does_nothing_without_a_manager(environ: dict[str, str]) -> None:
    notifier = Notifier(environ)
    assert not notifier
    assert notifier.ready("x") is False and notifier.watchdog() is False


def test_a_manager_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).watchdog()


def test_refuses_an_address_it_cannot_speak_to() -> None:
    with pytest.raises(OSError, match="vsock:2:1234: neither a path nor an abstract socket"):
        Notifier({"NOTIFY_SOCKET": "vsock:2:1234"})


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
    ],
)
def test_knows_whether_it_owes_pings(environ: dict[str, str], interval: float | None) -> None:
    assert Notifier(environ).watchdog_interval == interval


@pytest.mark.parametrize("value", ["", "0", "-5", "1s"])
def test_refuses_a_watchdog_that_is_no_number(value: str) -> None:
    with pytest.raises(OSError, match=f"WATCHDOG_USEC={value}: not a positive number"):
        Notifier({"WATCHDOG_USEC": value})
