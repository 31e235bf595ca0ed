# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What a page in the middle of the bank that will not leave costs, beside the same without it."""

from dataclasses import dataclass
from typing import Any

from boards.remote import RemoteBoard

from bench.pressure import scarce

MIB = 1 << 20
LIMIT = 3
REQUESTS = {"31 MiB beside 4": "granted", "40 MiB": "BUSY", "48 MiB": "BUSY"}


@dataclass(frozen=True)
class Stuck:
    """Of each request, with and without the page: the outcome, and the median in nanoseconds."""

    held: dict[str, list[Any]]
    free: dict[str, list[Any]]

    def ratio(self, request: str) -> float:
        """Return how much longer it takes with the page."""
        return float(self.held[request][1] / self.free[request][1])

    @property
    def holds(self) -> bool:
        """Return whether all ended as promised, in time."""
        return all(
            self.held[it][0] == outcome
            and self.free[it][0] == "granted"
            and self.ratio(it) <= LIMIT
            for it, outcome in REQUESTS.items()
        )

    def lines(self) -> list[str]:
        """Return it for people."""
        told = ["one page held at 32 MiB of the shared context of 64 MiB:"]
        for it in REQUESTS:
            told.append(
                f"  {it}: {self.held[it][0]} after {self.held[it][1] / 1e6:.1f} ms; without the"
                f" page {self.free[it][0]} after {self.free[it][1] / 1e6:.1f} ms"
                f" ({self.ratio(it):.2f})"
            )
        verdict = "holds" if self.holds else "BROKEN"
        return [*told, f"  promised: granted, BUSY, BUSY, within {LIMIT} times as long: {verdict}"]

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        ratios = {it: self.ratio(it) for it in REQUESTS}
        return {"held": self.held, "free": self.free, "ratio": ratios, "holds": self.holds}


def measure(board: RemoteBoard) -> Stuck:
    """Measure on a board with the context `shared`, empty."""
    linger = "/sys/module/cm/parameters/linger_ms"
    before = board.check(f"cat {linger}")
    board.check(f"echo 0 >{linger}")
    try:
        with scarce(board):
            return Stuck(*board.call(hold_a_page, timeout=300, rounds=5))
    finally:
        board.check(f"echo {before} >{linger}")


def hold_a_page(rounds: int) -> list[Any]:
    """Put a page at 32 MiB of the bank into a pipe, and ask; let go of it, and ask again."""
    import ctypes
    import mmap
    import os
    import time

    from cm_agent.contiguity import pagemap
    from cm_agent.core import uapi
    from cm_agent.core.context import Context

    with Context("shared") as pool, pool.alloc(pool.query().size) as whole:
        middle = pool.pin(whole).address + (32 << 20)
    time.sleep(0.5)
    held = []
    reader, writer = os.pipe()
    for _ in range(64):
        memory = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, len(memory), 4096):
            memory[at] = 1
        held.append(memory)
        with memoryview(memory) as view:
            runs = pagemap.runs(view)
        inside = [
            run.offset + middle - run.address
            for run in runs
            if run.address <= middle < run.address + run.length
        ]
        if inside:
            break
    else:
        raise RuntimeError("no page came to the middle of the bank")
    first = ctypes.c_char.from_buffer(memory, inside[0])
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(first), 4096)
    assert ctypes.CDLL(None).vmsplice(writer, vector, 1, 0) == 4096
    del first
    for memory in held:
        memory.close()

    def ask(pool: Context, size: int) -> tuple[str, int]:
        request = uapi.prepare("CM_IOC_ALLOC", size=size)
        began = time.monotonic_ns()
        try:
            uapi.submit(pool.fileno(), "CM_IOC_ALLOC", request)
        except OSError:
            return uapi.Reason(request.reason).name, time.monotonic_ns() - began
        took = time.monotonic_ns() - began
        os.close(request.fd)
        return "granted", took

    def ask_all() -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        with Context("shared") as pool:
            for name, size in (("31 MiB beside 4", 31), ("40 MiB", 40), ("48 MiB", 48)):
                beside = pool.alloc(4 << 20) if size == 31 else None
                outcomes = []
                for _ in range(rounds):
                    outcomes.append(ask(pool, size << 20))
                    time.sleep(0.3)  # so that what lingers goes back
                if beside:
                    beside.close()
                assert len({outcome for outcome, _ in outcomes}) == 1, outcomes
                found[name] = [outcomes[0][0], sorted(it for _, it in outcomes)[rounds // 2]]
        return found

    busy = ask_all()
    os.close(reader)
    os.close(writer)
    return [busy, ask_all()]
