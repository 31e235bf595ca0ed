# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Where figures come from: what is written on every one of them."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass

from boards.board import PROJECT
from boards.error import run
from boards.remote import RemoteBoard


@dataclass(frozen=True, slots=True)
class Origin:
    """The board, what it runs, and how long was measured."""

    board: str
    kernel: str
    command_line: str
    commit: str
    date: str
    host_load: float
    cma_free_kib: int
    quick: bool

    def lines(self) -> list[str]:
        """Return it for people."""
        extent = ", quick: a few samples of each" if self.quick else ""
        return [
            f"board {self.board}, kernel {self.kernel}, cm {self.commit}, {self.date}{extent}",
            f"kernel command line: {self.command_line}",
            f"before: load of the host {self.host_load:.2f} of {os.cpu_count()} CPUs,"
            f" {self.cma_free_kib / 1024:.0f} MiB of reusable banks and the CMA area free",
        ]


def origin(board: RemoteBoard, quick: bool, host_load: float) -> Origin:
    """Ask the board, and git."""
    git = ["git", "-c", f"safe.directory={PROJECT}", "-C", str(PROJECT)]
    return Origin(
        board=board.name,
        kernel=board.check("uname -r").strip(),
        command_line=board.check("cat /proc/cmdline").strip(),
        commit=run(
            [*git, "describe", "--always", "--dirty"], doing="asking git for the commit"
        ).strip(),
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        host_load=host_load,
        cma_free_kib=int(board.check("sed -n 's/^CmaFree: *\\([0-9]*\\).*/\\1/p' /proc/meminfo")),
        quick=quick,
    )
