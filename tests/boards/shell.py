# SPDX-License-Identifier: MIT
"""An interactive shell on a board that has the module and the agent (runs in build/venv)."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from . import board as descriptions
from . import packages as extras
from .booted import booted
from .error import BoardError
from .progress import say

METRICS = 28877
OPTIONS = (
    "IdentitiesOnly=yes",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
)
ENDS = (signal.SIGHUP, signal.SIGTERM)


def interact(board: str, state: str, packages: Sequence[str], files: Sequence[Path]) -> NoReturn:
    """Boot the board, bring it to a state, and hand the terminal over until the shell ends.

    Packages are unpacked, and files are copied to root's home before. When the terminal is closed,
    or somebody ends this process, the board is stopped, too.
    """
    # Also where SIGHUP is ignored, as by nohup: without a terminal the shell would never end.
    for number in ENDS:
        signal.signal(number, _end)
    if missing := [str(it) for it in files if not it.exists()]:
        raise BoardError(f"no such file: {', '.join(missing)}")
    bundle = extras.make(descriptions.read(board), packages) if packages else None
    with booted(board, state) as remote, remote.forwarded(METRICS) as port:
        if bundle:
            extras.install(remote, bundle)
        for path in files:
            remote.put(path, "/root/")
        power = remote.strategy.power
        say(f"metrics: http://127.0.0.1:{port}/metrics while the agent runs")
        say(f"console log: {power.console}")
        for line in ways_in(power.networkservice.port, power.keyfile):
            say(f"from another terminal: {line}")
        say("you are root on the board; `exit` or Ctrl-D stops it")
        code = subprocess.run(remote.ssh_command("-t"), stdin=sys.stdin).returncode
        # How the last command in the shell ended is nobody's business here; 255 is ssh's own. And
        # the board is switched off as it is: who knows what was unloaded or left running.
        raise SystemExit(code if code == 255 else 0)


def ways_in(port: int, key: Path) -> list[str]:
    """Return command lines of ssh and scp to a port of this machine that leads to a board.

    The board has another key at every port, and after every change of its image: none is kept.
    """
    options = ["-i", str(key), *(f"-o{it}" for it in OPTIONS)]
    return [
        shlex.join(["ssh", "-p", str(port), *options, "root@127.0.0.1"]),
        shlex.join(["scp", "-P", str(port), *options, "FILE", "root@127.0.0.1:"]),
    ]


def _end(number: int, frame: FrameType | None) -> None:
    # A closed terminal sends more than one; none may interrupt what stops the board.
    for other in ENDS:
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)
