# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""By how much requests return after their deadlines, and whether they leave anything behind."""

from dataclasses import dataclass
from typing import Any

from boards.remote import RemoteBoard

from bench.pressure import scarce

ROUNDS = 1000
LIMIT_NS = 10_000_000
SCENES = {
    "pressure": "under memory pressure",
    "mapped": "for more than is free beside a chunk that is mapped 20,000 times",
    "compact": "among 4,000 chunks, while others compact these",
}


@dataclass(frozen=True)
class Lateness:
    """In nanoseconds, by scene: beyond the deadline, 0 for requests that returned before; outcomes.

    And the bytes that were free before and afterwards.
    """

    beyond: dict[str, list[int]]
    outcomes: dict[str, dict[str, int]]
    free: dict[str, list[int]]

    def p99(self, scene: str) -> int:
        """Return what 99 of 100 requests stayed below."""
        return sorted(self.beyond[scene])[len(self.beyond[scene]) * 99 // 100]

    @property
    def holds(self) -> bool:
        """Return whether requests returned in time, and nothing was lost."""
        return all(
            self.p99(scene) <= LIMIT_NS and len(set(self.free[scene])) == 1 for scene in SCENES
        )

    def lines(self) -> list[str]:
        """Return it for people."""
        told = [f"{ROUNDS} requests in a shared context with deadlines of 1 to 50 ms:"]
        for scene, where in SCENES.items():
            ends = ", ".join(f"{reason}: {n}" for reason, n in self.outcomes[scene].items())
            told += [
                f"  {where} ({ends})",
                f"    beyond the deadline: p99 {self.p99(scene) / 1e6:.1f} ms, longest"
                f" {max(self.beyond[scene]) / 1e6:.1f} ms; free before and afterwards:"
                f" {self.free[scene][0]:,} and {self.free[scene][1]:,} bytes",
            ]
        verdict = "holds" if self.holds else "BROKEN"
        return [*told, f"  promised: p99 of at most 10 ms, and nothing is lost: {verdict}"]

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "beyond_ns": self.beyond,
            "p99_ns": {scene: self.p99(scene) for scene in SCENES},
            "outcomes": self.outcomes,
            "free": self.free,
            "holds": self.holds,
        }


def measure(board: RemoteBoard) -> Lateness:
    """Measure on a board with the context `shared`, empty."""
    beyond, outcomes, free = {}, {}, {}
    with scarce(board):
        for scene in SCENES:
            got = board.call(ask_in_little_time, timeout=900, rounds=ROUNDS, scene=scene)
            beyond[scene], outcomes[scene], free[scene] = got
    return Lateness(beyond, outcomes, free)


def ask_in_little_time(rounds: int, scene: str) -> list[Any]:
    """Do requests with short deadlines beside a process that makes them hard to meet."""
    import gc
    import mmap
    import os
    import random
    import resource
    import signal
    import time

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    mib = 1 << 20
    chance = random.Random(rounds)
    beyond: list[int] = []
    outcomes: dict[str, int] = {}

    def press() -> None:
        populated = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
        while True:
            mmap.mmap(-1, 40 * mib, flags=populated).close()

    def compact() -> None:
        with Context("shared") as mine:
            while True:
                try:
                    mine.compact(0)
                except OSError:
                    time.sleep(0.001)

    def beside(do: Any) -> int:
        pid = os.fork()
        if not pid:
            try:
                do()
            finally:
                os._exit(1)
        return pid

    def ask(pool: Context, size: int, deadline_ns: int) -> None:
        request = uapi.prepare("CM_IOC_ALLOC", size=size, deadline_ns=deadline_ns)
        began = time.monotonic_ns()
        try:
            uapi.submit(pool.fileno(), "CM_IOC_ALLOC", request)
            outcome = "granted"
        except OSError:
            outcome = uapi.Reason(request.reason).name
        took = time.monotonic_ns() - began
        if outcome == "granted":
            os.close(request.fd)
        beyond.append(max(0, took - deadline_ns))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    gc.disable()
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    with Context("shared") as pool:
        chunks, mappings, pid = [], [], None
        whole = pool.query().size
        if scene == "pressure":
            pid = beside(press)
            sizes = [mib, whole // 2]
        elif scene == "mapped":
            chunks.append(pool.alloc(mib, whole // 2))
            chunks.append(pool.alloc(mib, whole // 2))
            chunks.pop(0).close()  # the other one is in the middle
            for _ in range(20_000):
                mappings.append(mmap.mmap(chunks[0].fd, mib, trackfd=False))
                mappings[-1][0] = 1
            sizes = [whole // 2 + 4 * mib, whole - mib]
        else:
            chunks = [pool.alloc(4096, 8192) for _ in range(4000)]  # every other page
            sizes = [mib, whole // 2]
            pid = beside(compact)
        before = pool.query().free
        for _ in range(rounds):
            size = chance.randint(*sizes)
            ask(pool, size, chance.randint(1_000_000, 50_000_000))
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for _ in range(50):  # the worker may still be busy with the last one
            after = pool.query().free
            if after == before:
                break
            time.sleep(0.1)
        for mapping in mappings:
            mapping.close()
        for chunk in chunks:
            chunk.close()
    gc.enable()
    return [beyond, outcomes, [before, after]]
