# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Whether allocations that need compaction come to their turn beside others who only compact."""

from dataclasses import dataclass
from typing import Any

from boards.remote import RemoteBoard

ROUNDS = 200
LOOPS = 4


@dataclass(frozen=True)
class Fairness:
    """How the allocations ended, the nanoseconds of the longest, and how many chunks moved."""

    outcomes: dict[str, int]
    longest: int
    moves: int

    @property
    def holds(self) -> bool:
        """Return whether chunks moved for them, and none was refused."""
        return self.moves >= ROUNDS and self.outcomes == {"granted": ROUNDS}

    def lines(self) -> list[str]:
        """Return it for people."""
        ends = ", ".join(f"{reason}: {n}" for reason, n in self.outcomes.items())
        verdict = "holds" if self.holds else "BROKEN"
        return [
            f"{ROUNDS} allocations that need compaction, with a deadline of 1 s,"
            f" beside {LOOPS} loops of COMPACT:",
            f"  {ends}; longest {self.longest / 1e6:.0f} ms; {self.moves} moves",
            f"  promised: none is out of time: {verdict}",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "outcomes": self.outcomes,
            "longest_ns": self.longest,
            "moves": self.moves,
            "holds": self.holds,
        }


def measure(board: RemoteBoard) -> Fairness:
    """Measure on a board with the context `shared`, empty."""
    return Fairness(*board.call(compete, timeout=400, rounds=ROUNDS, loops=LOOPS))


def compete(rounds: int, loops: int) -> list[Any]:
    """Make holes between chunks, ask for more than each of them, and count how that ends."""
    import os
    import signal
    import time
    from contextlib import suppress

    from cm_agent.core import uapi
    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    def compact() -> None:
        with Context("shared") as mine:
            while True:
                with suppress(AllocationError):
                    mine.compact(0)

    children = []
    for _ in range(loops):
        if pid := os.fork():
            children.append(pid)
        else:
            try:
                compact()
            finally:
                os._exit(1)
    slot, outcomes, longest = 1 << 20, {}, 0
    with Context("shared") as pool:
        begin = pool.stats().moves
        ballast = pool.alloc(pool.query().size - 16 * slot, deadline=60)
        pool.pin(ballast)
        for _ in range(rounds):
            chunks = [pool.alloc(slot, deadline=60) for _ in range(16)]
            # Every other one, at once: COMPACT has hardly moved any when the request comes.
            for chunk in chunks[::2]:
                chunk.close()
            request = uapi.prepare("CM_IOC_ALLOC", size=8 * slot, deadline_ns=10**9)
            began = time.monotonic_ns()
            try:
                uapi.submit(pool.fileno(), "CM_IOC_ALLOC", request)
                os.close(request.fd)
                outcome = "granted"
            except OSError:
                outcome = uapi.Reason(request.reason).name
            longest = max(longest, time.monotonic_ns() - began)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            for chunk in chunks[1::2]:
                chunk.close()
        moves = pool.stats().moves - begin
        ballast.close()
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return [outcomes, longest, moves]
