# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""By how much an allocation under memory pressure overshoots its deadline, beside one batch."""

from dataclasses import dataclass
from typing import Any

from boards.remote import RemoteBoard

from bench.pressure import scarce

ROUNDS = 150


@dataclass(frozen=True)
class Overshoot:
    """In nanoseconds: beyond their deadlines, and what one pageblock took; requests granted."""

    beyond: list[int]
    batches: list[int]
    granted: int

    @property
    def ratio(self) -> float:
        """Return the longest overshoot in terms of the longest batch."""
        return max(self.beyond) / max(self.batches)

    @property
    def holds(self) -> bool:
        """Return whether no overshoot was longer than one batch can be."""
        return bool(self.beyond) and self.ratio <= 1

    def lines(self) -> list[str]:
        """Return it for people."""
        if not self.beyond:
            return [f"deadlines: BROKEN: none of {self.granted} requests met its deadline"]
        verdict = "holds" if self.holds else "BROKEN"
        return [
            "allocating the whole shared bank, full of other memory, with deadlines of 1 to 20 ms:",
            f"  ended by the deadline: {len(self.beyond)}, granted before: {self.granted}",
            f"  overshoot      {_range(self.beyond)}",
            f"  one pageblock  {_range(self.batches)}",
            f"  longest / longest: {self.ratio:.2f}, promised: at most 1: {verdict}",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "overshoot_ns": self.beyond,
            "batch_ns": self.batches,
            "granted": self.granted,
            "holds": self.holds,
        }


def _range(times: list[int]) -> str:
    median = sorted(times)[len(times) // 2]
    return f"median {median / 1e3:8.0f} us  longest {max(times) / 1e3:8.0f} us"


def measure(board: RemoteBoard) -> Overshoot:
    """Measure on a board with the context `shared`."""
    with scarce(board):
        return Overshoot(*board.call(overshoot, timeout=900, rounds=ROUNDS))


def overshoot(rounds: int) -> list[Any]:
    """Ask for the whole bank in little time; after each such request, time one pageblock."""
    import gc
    import mmap
    import os
    import time

    from cm_agent import uapi
    from cm_agent.context import Context

    block, name = 2 << 20, "CM_IOC_ALLOC"
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    beyond, batches, granted = [], [], 0

    def timed(**members: int) -> tuple[int, Any]:
        request = uapi.prepare(name, **members)
        began = time.monotonic_ns()
        try:
            uapi.submit(pool.fileno(), name, request)
        except OSError:
            return time.monotonic_ns() - began, request
        took = time.monotonic_ns() - began
        os.close(request.fd)
        return took, request

    gc.disable()
    with Context("shared") as pool:
        whole = pool.query().size
        for turn in range(rounds):
            with mmap.mmap(-1, 40 << 20, flags=private):
                deadline = (1 + turn % 20) * 1_000_000
                took, request = timed(size=whole, deadline_ns=deadline)
                if request.reason == uapi.Reason.DEADLINE:
                    beyond.append(took - deadline)
                granted += not request.reason
                batches.append(timed(size=block, alignment=block)[0])
    gc.enable()
    return [beyond, batches, granted]
