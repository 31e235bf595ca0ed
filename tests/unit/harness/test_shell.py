# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`make board`: ways in, and what becomes of the board when the person goes away."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from boards import shell
from boards.error import BoardError

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
            strategy=SimpleNamespace(power=POWER),
            ssh_command=lambda *words: [sys.executable, "-c", SHELL],
        )
    finally:
        print("stopping", flush=True)
        sys.stdin.readline()
        print("off", flush=True)

POWER = SimpleNamespace(
    console="console", keyfile="key", networkservice=SimpleNamespace(port=1)
)
SHELL = "import time; print('shell', flush=True); time.sleep(60)"
signal.signal(signal.SIGHUP, signal.SIG_IGN)
shell.booted = booted
sys.exit(shell.interact("board", "agent", [], []))
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


@pytest.mark.parametrize("program", ["ssh", "scp"])
def test_a_way_in_uses_the_boards_key_and_no_other(program: str) -> None:
    key = Path("/a cache/key")
    (words,) = [it for it in map(shlex.split, shell.ways_in(1234, key)) if it[0] == program]
    assert words[words.index("-i") + 1] == "/a cache/key"
    assert "-oIdentitiesOnly=yes" in words


def test_a_way_in_leads_to_the_boards_port() -> None:
    to, copy = map(shlex.split, shell.ways_in(1234, Path("key")))
    assert (to[:3], to[-1]) == (["ssh", "-p", "1234"], "root@127.0.0.1")
    assert (copy[:3], copy[-2:]) == (["scp", "-P", "1234"], ["FILE", "root@127.0.0.1:"])


def test_a_way_in_neither_knows_nor_keeps_a_boards_key() -> None:
    """Boards of many images have the same address."""
    for line in shell.ways_in(1234, Path("key")):
        settled = subprocess.run(
            ["ssh", "-G", *(it for it in shlex.split(line) if it.startswith("-o")), "board"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        assert {"stricthostkeychecking false", "userknownhostsfile /dev/null"} <= set(settled)


def test_a_file_that_is_not_there_is_refused_before_the_boot(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=r"no such file: .*/missing\.py"):
        shell.interact("arm64-virt", "agent", [], [tmp_path / "missing.py"])
