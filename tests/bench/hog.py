# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What a request waits for while a real-time process keeps a CPU for itself.

Linux 5.10 waits for every CPU when it takes pages (lru_add_drain_all()): the worker gets nowhere.
"""

from dataclasses import dataclass
from typing import Any

from boards.remote import RemoteBoard

LIMIT_NS = 10**9
DEADLINE_NS = 10**9
SIZE = 16 << 20


@dataclass(frozen=True)
class Hogged:
    """In nanoseconds: beyond the deadline, and until SIGKILL ended a request without one.

    And how the request ended, and the bytes that were free before, and after the process was gone.
    """

    beyond: int
    killed: int
    outcome: str
    free: list[int]

    @property
    def holds(self) -> bool:
        """Return whether both were in time, and nothing was lost."""
        return max(self.beyond, self.killed) <= LIMIT_NS and len(set(self.free)) == 1

    def lines(self) -> list[str]:
        """Return it for people."""
        verdict = "holds" if self.holds else "BROKEN"
        return [
            "a request for 16 MiB of a shared context, beside a real-time process on one CPU:",
            f"  deadline 1 s: {self.outcome}, {self.beyond / 1e6:.1f} ms beyond it; SIGKILL took"
            f" {self.killed / 1e6:.1f} ms",
            f"  free before and afterwards: {self.free[0]:,} and {self.free[1]:,} bytes",
            f"  promised: at most 1 s for both, and nothing is lost: {verdict}",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "beyond_ns": self.beyond,
            "sigkill_ns": self.killed,
            "outcome": self.outcome,
            "free": self.free,
            "holds": self.holds,
        }


def measure(board: RemoteBoard) -> Hogged:
    """Measure on a board with two CPUs and the context `shared`, empty."""
    runtime = board.check("cat /proc/sys/kernel/sched_rt_runtime_us").strip()
    board.check("sysctl -q kernel.sched_rt_runtime_us=-1")
    try:
        return Hogged(*board.call(ask_beside_a_hog, timeout=120, size=SIZE, deadline=DEADLINE_NS))
    finally:
        board.check(f"sysctl -q kernel.sched_rt_runtime_us={runtime}")


def ask_beside_a_hog(size: int, deadline: int) -> list[Any]:
    """Ask with a deadline, then without one and killed, while CPU 1 computes at real-time priority.

    That lasts for 20 s, and ends by itself: nothing else could end it for sure.
    """
    import os
    import signal
    import time

    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    def fork(do: Any) -> int:
        pid = os.fork()
        if not pid:
            try:
                do()
            finally:
                os._exit(0)
        return pid

    def compute() -> None:
        os.sched_setaffinity(0, {1})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
        until = time.monotonic() + 20
        while time.monotonic() < until:
            pass

    def ask(deadline_ns: int) -> str:
        request = uapi.prepare("CM_IOC_ALLOC", size=size, deadline_ns=deadline_ns)
        try:
            uapi.submit(pool.fileno(), "CM_IOC_ALLOC", request)
        except OSError:
            return uapi.Reason(request.reason).name
        os.close(request.fd)
        return "granted"

    with Context("shared") as pool:
        before = pool.query().free
        os.sched_setaffinity(0, {0})
        hog = fork(compute)
        time.sleep(1)
        began = time.monotonic_ns()
        outcome = ask(deadline)
        beyond = max(0, time.monotonic_ns() - began - deadline)
        waiting = fork(lambda: ask(3600 * 10**9))
        time.sleep(1)
        began = time.monotonic_ns()
        os.kill(waiting, signal.SIGKILL)
        os.waitpid(waiting, 0)
        killed = time.monotonic_ns() - began
        os.waitpid(hog, 0)
        os.sched_setaffinity(0, {0, 1})
        until = time.monotonic() + 30
        while (after := pool.query().free) != before and time.monotonic() < until:
            time.sleep(0.1)
    return [beyond, killed, outcome, [before, after]]
