# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`make board`: what becomes of the board when the person goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
# A board that says when it is on and off, and a shell on it that would last for a minute.
SCRIPT = """
import signal, sys
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from boards import shell

@contextmanager
def booted(board, state):
    print("on", flush=True)
    try:
        yield SimpleNamespace(
            forwarded=lambda port: nullcontext(1),
            strategy=SimpleNamespace(power=SimpleNamespace(console="console")),
            ssh_command=lambda *words: [sys.executable, "-c", SHELL],
        )
    finally:
        print("stopping", flush=True)
        sys.stdin.readline()
        print("off", flush=True)

SHELL = "import time; print('shell', flush=True); time.sleep(60)"
signal.signal(signal.SIGHUP, signal.SIG_IGN)
shell.booted = booted
sys.exit(shell.interact("board", "agent"))
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_the_board_is_stopped_when_the_terminal_is_closed(number: signal.Signals) -> None:
    """Even where SIGHUP was ignored before."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "on\n"
        for line in process.stdout:
            if line == "shell\n":
                break
        process.send_signal(number)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(number)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.read().splitlines()[-1:] == ["off"]
        assert process.wait(timeout=30) == 128 + number
