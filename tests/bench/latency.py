# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Allocations in a private context while another, shared one migrates pages on another CPU."""

from dataclasses import dataclass
from typing import Any

from boards.remote import RemoteBoard

from bench.migrations import migrations
from bench.pressure import scarce

PROMISE = 1.5
SIZE = 1 << 20
SLICES, SLICE = 20, 200
MODES = ("idle", "computing", "migrating")


@dataclass(frozen=True)
class Latency:
    """How long allocations took, in nanoseconds, by what the other CPU did.

    `seconds` of that were beside a migrating context; the system migrated so many pages meanwhile.
    `batches` took so many nanoseconds, with those just before and after each slice.
    """

    samples: dict[str, list[int]]
    migrated: int
    seconds: float
    batches: list[int]

    def percentile(self, mode: str, percent: float) -> int:
        """Return what so many percent of the allocations did not exceed."""
        return _percentile(self.samples[mode], percent)

    @property
    def ratio(self) -> float:
        """Return the p99 beside a migrating context in terms of that of an idle machine."""
        return self.percentile("migrating", 99) / self.percentile("idle", 99)

    @property
    def noise(self) -> float:
        """Return the p99 of every other idle slice in terms of that of the rest, or 1 over it."""
        halves: tuple[list[int], list[int]] = ([], [])
        for number, ns in enumerate(self.samples["idle"]):
            halves[number // SLICE % 2].append(ns)
        low, high = sorted(_percentile(half, 99) for half in halves)
        return high / low

    @property
    def holds(self) -> bool:
        """Return whether it is as promised, and the other context did migrate."""
        return self.ratio < PROMISE and self.migrated > 0

    def lines(self) -> list[str]:
        """Return it for people."""
        rows = [
            f"  other CPU {mode:<10}  p50 {self.percentile(mode, 50) / 1e3:8.0f} us"
            f"  p99 {self.percentile(mode, 99) / 1e3:8.0f} us  of {len(self.samples[mode]):,}"
            for mode in MODES
        ]
        verdict = "holds" if self.holds else "BROKEN"
        return [
            f"allocating {SIZE >> 20} MiB in a private context, slices of {SLICE} in turn:",
            *rows,
            f"  pages migrated for the shared context: {self.migrated:,} in {self.seconds:.1f} s,"
            f" batches took {sum(self.batches) / 1e9:.1f} s, those around slices included",
            f"  p99 of half the idle slices / of the others: {self.noise:.2f}, 1 on a quiet host",
            f"  p99 migrating / idle: {self.ratio:.2f}, promised: less than {PROMISE}: {verdict}",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        p99 = {mode: self.percentile(mode, 99) for mode in MODES}
        return {
            "p50_ns": {mode: self.percentile(mode, 50) for mode in MODES},
            "p99_ns": p99,
            "noise": self.noise,
            "ratio": self.ratio,
            "promise": PROMISE,
            "migrated_pages": self.migrated,
            "migrating_seconds": self.seconds,
            "batches_ns": sum(self.batches),
            "holds": self.holds,
        }


def _percentile(times: list[int], percent: float) -> int:
    return sorted(times)[min(len(times) - 1, int(len(times) * percent / 100))]


def measure(board: RemoteBoard) -> Latency:
    """Measure on a board with the contexts `private` and `shared`, and two CPUs."""
    with scarce(board), migrations(board) as batches:
        got = board.call(
            race, timeout=900, size=SIZE, slices=SLICES, count=SLICE, modes=list(MODES)
        )
    return Latency(*got, batches)


def race(size: int, slices: int, count: int, modes: list[str]) -> list[Any]:
    """Allocate on CPU 0 while a child on CPU 1 does what its mode says, slice by slice."""
    import gc
    import mmap
    import os
    import time

    from cm_agent.core import uapi
    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    computing, migrating, ended = 1, 2, 3
    mode = mmap.mmap(-1, 4096)
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE

    def migrated() -> int:
        with open("/proc/vmstat") as lines:
            return next(int(it.split()[1]) for it in lines if it.startswith("pgmigrate_success"))

    def migrate(pool: Context) -> None:
        with mmap.mmap(-1, 40 << 20, flags=private):
            try:
                pool.alloc(pool.query().size, deadline=5).close()
            except AllocationError as error:
                if error.reason.name not in ("BUSY", "NO_MEMORY"):
                    raise

    def child() -> None:
        os.sched_setaffinity(0, {1})
        with Context("shared") as pool:
            while mode[0] != ended:
                if mode[0] == migrating:
                    migrate(pool)
                elif mode[0] == computing:
                    sum(range(10_000))
                else:
                    time.sleep(0.01)

    worker = os.fork()
    if not worker:
        code = 1
        try:
            child()
            code = 0
        finally:
            os._exit(code)
    gc.disable()
    os.sched_setaffinity(0, {0})
    samples: dict[str, list[int]] = {name: [] for name in modes}
    pages, seconds = 0, 0.0
    with Context("private") as pool:
        for turn in range(slices * len(modes)):
            mode[0] = turn % len(modes)
            time.sleep(0.2)
            before, since, took = migrated(), time.monotonic(), samples[modes[mode[0]]]
            for _ in range(count):
                request = uapi.prepare("CM_IOC_ALLOC", size=size)
                began = time.monotonic_ns()
                uapi.submit(pool.fileno(), "CM_IOC_ALLOC", request)
                took.append(time.monotonic_ns() - began)
                os.close(request.fd)
            if mode[0] == migrating:
                pages += migrated() - before
                seconds += time.monotonic() - since
    mode[0] = ended
    _, status = os.waitpid(worker, 0)
    if status:
        raise RuntimeError(f"the process on the other CPU ended early, with status {status}")
    gc.enable()
    os.sched_setaffinity(0, {0, 1})
    return [samples, pages, seconds]
