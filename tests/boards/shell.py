# SPDX-License-Identifier: MIT
"""An interactive shell on a board that has the module and the agent (runs in build/venv)."""

import signal
import subprocess
import sys
from types import FrameType
from typing import NoReturn

from .booted import booted
from .progress import say

METRICS = 28877
ENDS = (signal.SIGHUP, signal.SIGTERM)


def interact(board: str, state: str) -> NoReturn:
    """Boot the board, bring it to a state, and hand the terminal over until the shell ends.

    When the terminal is closed, or somebody ends this process, the board is stopped, too.
    """
    # Also where SIGHUP is ignored, as by nohup: without a terminal the shell would never end.
    for number in ENDS:
        signal.signal(number, _end)
    with booted(board, state) as remote, remote.forwarded(METRICS) as port:
        say(f"metrics: http://127.0.0.1:{port}/metrics while the agent runs")
        say(f"console log: {remote.strategy.power.console}")
        say("you are root on the board; `exit` or Ctrl-D stops it")
        code = subprocess.run(remote.ssh_command("-t"), stdin=sys.stdin).returncode
        # How the last command in the shell ended is nobody's business here; 255 is ssh's own. And
        # the board is switched off as it is: who knows what was unloaded or left running.
        raise SystemExit(code if code == 255 else 0)


def _end(number: int, frame: FrameType | None) -> None:
    # A closed terminal sends more than one; none may interrupt what stops the board.
    for other in ENDS:
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)
