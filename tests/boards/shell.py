# SPDX-License-Identifier: MIT
"""An interactive shell on a board that has the module and the agent (runs in build/venv)."""

import os
import subprocess
import sys

from labgrid import Environment

from .board import PROJECT
from .progress import say, step
from .remote import RemoteBoard

METRICS = 28877


def interact(board: str, state: str) -> int:
    """Boot the board, bring it to a state, and hand the terminal over until the shell ends."""
    os.environ["LG_BOARD"] = board
    environment = Environment(str(PROJECT / "tests/hil/env/emulated.yaml"))
    try:
        remote = RemoteBoard(environment.get_target())
        with step(f"bringing {board} to the state {state!r}"):
            remote.need(state)
        with remote.forwarded(METRICS) as port:
            say(f"metrics: http://127.0.0.1:{port}/metrics while the agent runs")
            say(f"console log: {remote.strategy.power.console}")
            say("you are root on the board; `exit` or Ctrl-D stops it")
            return subprocess.run(remote.ssh_command("-t"), stdin=sys.stdin).returncode
    finally:
        environment.cleanup()
        say(f"{board} is off")
