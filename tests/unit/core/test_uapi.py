# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Requests and signals.

A process in the background that sets its terminal's modes has the request interrupted (EINTR) by
SIGTTOU, which is sent again each time: a real request that a real signal interrupts.
"""

from __future__ import annotations

import errno
import os
import pty
import re
import signal
import termios
from collections.abc import Callable
from pathlib import Path

import pytest
from cm_agent.core.uapi import constant, feature_names, ffi, ioctl

TERMINAL = 0


def set_modes() -> None:
    """Set a terminal's modes as they are."""
    modes = ffi.new("char[]", 256)
    ioctl(TERMINAL, termios.TCGETS, modes)
    ioctl(TERMINAL, termios.TCSETS, modes)


def in_background(handle: Callable[[int], None]) -> str:
    """Set a terminal's modes in a background process; return what came of it.

    handle: what the handler of the signal does, of which it has the number of times until now.
    """
    reader, writer = os.pipe()
    session, terminal = pty.fork()
    if not session:
        if child := os.fork():
            os.waitpid(child, 0)
            os._exit(0)
        try:
            os.setpgid(0, 0)
            os.write(writer, attempt(handle).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        said = answer.read()
    os.waitpid(session, 0)
    os.close(terminal)
    return said


def attempt(handle: Callable[[int], None]) -> str:
    """Set the modes; return how often a signal came, and the error."""
    seen = []

    def handler(number: int, frame: object) -> None:
        seen.append(number)
        if len(seen) == 2:
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        handle(len(seen))

    signal.signal(signal.SIGTTOU, handler)
    try:
        set_modes()
    except BaseException as error:
        return f"{len(seen)} {error!r}"
    return f"{len(seen)} done"


def nothing(count: int) -> None:
    """Do nothing about a signal."""


def fail_a_request(count: int) -> None:
    """Do a request that fails with another error."""
    with pytest.raises(OSError):
        ioctl(-1, termios.TCGETS, ffi.NULL)


def interrupt(count: int) -> None:
    """Do what Python does at Ctrl-C."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("handle", [nothing, fail_a_request])
def test_a_request_that_a_signal_interrupts_is_made_again(handle: Callable[[int], None]) -> None:
    assert in_background(handle) == "2 done"


def test_a_signals_handler_can_end_a_request() -> None:
    assert in_background(interrupt) == "1 KeyboardInterrupt()"


def test_another_error_is_raised() -> None:
    with pytest.raises(OSError) as caught:
        ioctl(-1, termios.TCGETS, ffi.NULL)
    assert caught.value.errno == errno.EBADF


def test_every_feature_of_the_header_has_a_name() -> None:
    header = (Path(__file__).parents[3] / "kmod/include/uapi/linux/cm.h").read_text()
    names = re.findall(r"#define CM_FEATURE_(\w+)", header)
    features = sum(constant(f"CM_FEATURE_{name}") for name in names)
    assert feature_names(features) == names
    assert feature_names(1 << 40) == ["bit 40"]
