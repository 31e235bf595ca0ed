# SPDX-License-Identifier: MIT
"""An emulated board for as long as a `with` block lasts, outside of pytest (runs in build/venv)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from labgrid import Environment

from .board import PROJECT
from .progress import step
from .remote import RemoteBoard

DOING = {
    "shell": "booting {board} under QEMU",
    "module": "installing module and agent, loading cm.ko",
    "agent": "starting cm-agent.service",
}


@contextmanager
def booted(board: str, state: str) -> Iterator[RemoteBoard]:
    """Boot a board and bring it to a state, with a line for every step; power it off in the end."""
    os.environ["LG_BOARD"] = board
    environment = Environment(str(PROJECT / "tests/hil/env/emulated.yaml"))
    try:
        remote = RemoteBoard(environment.get_target())
        for there, doing in DOING.items():
            with step(doing.format(board=board)):
                remote.need(there)
            if there == state:
                break
        yield remote
        with step("powering the board off"):
            remote.need("off")
    finally:
        environment.cleanup()
