# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""How long the module plans, among as many chunks as a context has at most."""

import re
from dataclasses import dataclass
from typing import Any

from boards.remote import RemoteBoard

LIMIT_US = 20_000
CHUNKS = 4096
TRACING = "/sys/kernel/tracing"
# A line of the function_graph tracer: "1)   1234.567 us  |  cm_plan_make [cm]();".
TIMED = re.compile(r"([\d.]+) us +\|.*\bcm_plan_(make|largest)\b")


@dataclass(frozen=True)
class Planning:
    """In microseconds: each plan, by what was planned. And how many chunks were moved."""

    took: dict[str, list[float]]
    moves: int

    @property
    def holds(self) -> bool:
        """Return whether there were plans, and none took too long."""
        took = self.took.values()
        return self.moves > 0 and all(took) and max(map(max, took)) <= LIMIT_US

    def lines(self) -> list[str]:
        """Return it for people."""
        lines = [f"plans among {CHUNKS:,} chunks, a tenth of them pinned ({self.moves} moves):"]
        for name, what in (("make", "for a request"), ("largest", "for the largest hole")):
            took = self.took[name]
            longest = f"longest {max(took) / 1e3:.2f} ms" if took else "none"
            lines.append(f"  {what}: {len(took)} plans, {longest}")
        verdict = "holds" if self.holds else "BROKEN"
        return [*lines, f"  promised: at most 20 ms: {verdict}"]

    def to_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {"took_us": self.took, "moves": self.moves, "holds": self.holds}


def measure(board: RemoteBoard) -> Planning:
    """Measure on a board with the context `shared`, empty."""
    board.check(
        f"cd {TRACING} && echo 'cm_plan_make cm_plan_largest' >set_ftrace_filter"
        " && echo function_graph >current_tracer && echo >trace"
    )
    try:
        moves = board.call(compact_many, timeout=600, count=CHUNKS)
        found = TIMED.findall(board.check(f"cat {TRACING}/trace"))
    finally:
        board.check(f"cd {TRACING} && echo nop >current_tracer && echo >set_ftrace_filter")
    took: dict[str, list[float]] = {"make": [], "largest": []}
    for microseconds, name in found:
        took[name].append(float(microseconds))
    return Planning(took, moves)


def compact_many(count: int) -> int:
    """Compact for requests of many sizes, among chunks of several sizes and alignments."""
    import random
    import resource
    from contextlib import suppress

    from cm_agent.core.context import Context
    from cm_agent.core.errors import AllocationError

    page, chance = 4096, random.Random(count)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * count, 2 * count))
    with Context("shared") as pool:
        pairs = [
            [pool.alloc(chance.randint(1, n) * page) for n in (3, 6)] for _ in range(count // 2)
        ]
        for _, spacer in pairs:
            spacer.close()
        ballast = pool.alloc(pool.query().largest_hole)
        pool.pin(ballast)
        chunks = [chunk for chunk, _ in pairs]
        for _ in range(count // 2 - 1):
            align = chance.choice([1, 1, 2, 4])
            chunks.append(pool.alloc(chance.randint(1, 3) * page, align * page))
        for chunk in chance.sample(chunks, count // 10):
            pool.pin(chunk)
        before = pool.stats().moves
        for align in (page, 16 * page):
            for size in (8, 16, 32, 64, 128, 256, 1024, 0):
                with suppress(AllocationError):
                    pool.compact(size * page, align, deadline=3)
        moves = pool.stats().moves - before
        for chunk in [ballast, *chunks]:
            chunk.close()
    return moves
