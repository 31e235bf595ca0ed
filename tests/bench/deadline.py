# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""By how much an allocation under memory pressure overshoots its deadline, beside one batch."""

from dataclasses import dataclass
from typing import Any

from boards.error import BoardError
from boards.remote import RemoteBoard

from bench.migrations import migrations
from bench.pressure import scarce

ROUNDS = 100
SCENES = {
    "alone": "the whole shared bank, in a part of the time that it takes",
    "in turn": "one pageblock, while another process takes the whole bank again and again",
}


@dataclass(frozen=True)
class Overshoot:
    """In nanoseconds: beyond the deadlines by scene, and what batches took; outcomes by scene."""

    beyond: dict[str, list[int]]
    outcomes: dict[str, dict[str, int]]
    batches: list[int]

    def ratio(self, scene: str) -> float:
        """Return the longest overshoot in terms of the longest batch."""
        return max(self.beyond[scene], default=0) / max(self.batches)

    @property
    def holds(self) -> bool:
        """Return whether deadlines passed, and none by more than a batch can take."""
        return all(self.beyond[scene] and self.ratio(scene) <= 1 for scene in SCENES)

    def lines(self) -> list[str]:
        """Return it for people."""
        told = ["allocating in a shared context with a deadline:"]
        for scene, asked in SCENES.items():
            ends = ", ".join(f"{reason}: {n}" for reason, n in self.outcomes[scene].items())
            told += [f"  {asked} ({ends})", f"    overshoot {_range(self.beyond[scene])}"]
            told += [f"    longest overshoot / longest batch: {self.ratio(scene):.2f}"]
        verdict = "holds" if self.holds else "BROKEN"
        return [
            *told,
            f"  one batch     {_range(self.batches)}",
            f"  promised: no overshoot is longer than a batch can be: {verdict}",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "overshoot_ns": self.beyond,
            "outcomes": self.outcomes,
            "batch_ns": self.batches,
            "ratio": {scene: self.ratio(scene) for scene in SCENES},
            "holds": self.holds,
        }


def _range(times: list[int]) -> str:
    if not times:
        return "never: no deadline passed"
    median = sorted(times)[len(times) // 2]
    return f"median {median / 1e3:8,.0f} us  longest {max(times) / 1e3:8,.0f} us  of {len(times):,}"


def measure(board: RemoteBoard) -> Overshoot:
    """Measure on a board with the context `shared`."""
    beyond, outcomes, batches = {}, {}, []
    with scarce(board):
        for scene in SCENES:
            with migrations(board) as took:
                beyond[scene], outcomes[scene] = board.call(
                    overshoot, timeout=900, rounds=ROUNDS, rival=scene == "in turn"
                )
            batches += took
    if not batches:
        raise BoardError(f"{board.name} told of no migration: have all pages left before?")
    return Overshoot(beyond, outcomes, batches)


def overshoot(rounds: int, rival: bool) -> list[Any]:
    """Ask in little time, for the whole bank or, beside a rival, for one pageblock.

    What a request took beyond its deadline counts however it ended.
    """
    import gc
    import mmap
    import os
    import random
    import signal
    import time

    from cm_agent import uapi
    from cm_agent.context import Context
    from cm_agent.uapi import Reason

    chance, name = random.Random(rounds), "CM_IOC_ALLOC"
    populated = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    beyond: list[int] = []
    outcomes: dict[str, int] = {}

    def ask(pool: Context, size: int, deadline_ns: int) -> tuple[int, str]:
        request = uapi.prepare(name, size=size, deadline_ns=deadline_ns)
        began = time.monotonic_ns()
        try:
            uapi.submit(pool.fileno(), name, request)
        except OSError:
            return time.monotonic_ns() - began, Reason(request.reason).name
        took = time.monotonic_ns() - began
        os.close(request.fd)
        return took, "granted"

    def among_tenants(pool: Context, size: int, deadline_ns: int = 0) -> tuple[int, str]:
        with mmap.mmap(-1, 40 << 20, flags=populated):
            return ask(pool, size, deadline_ns)

    def compete() -> None:
        os.sched_setaffinity(0, {1})
        with Context("shared") as pool:
            while True:
                among_tenants(pool, pool.query().size)

    os.sched_setaffinity(0, {0})
    gc.disable()
    child = os.fork() if rival else None
    if child == 0:
        try:
            compete()
        finally:
            os._exit(1)
    with Context("shared") as pool:
        size = 2 << 20 if rival else pool.query().size
        limit = 20_000_000 if rival else min(among_tenants(pool, size)[0] for _ in range(5))
        for _ in range(rounds):
            deadline_ns = chance.randint(1_000_000, limit)
            took, outcome = (ask if rival else among_tenants)(pool, size, deadline_ns)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            if took > deadline_ns:
                beyond.append(took - deadline_ns)
            if rival:
                time.sleep(chance.random() / 20)
    if child:
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            raise RuntimeError("the rival ended early")
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    gc.enable()
    os.sched_setaffinity(0, {0, 1})
    return [beyond, outcomes]
