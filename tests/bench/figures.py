# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What was measured, as text and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from statistics import median

from cm_agent.cli import _table as table
from cm_agent.core.size import format_size

from bench.goals import CPU_SIZE, PAIR_SIZE, RATE_SIZE, Goal, one_piece
from bench.noise import Noise
from bench.origin import Origin
from bench.peers import TITLES
from bench.samples import COLUMNS, Samples

MISSING = "–"  # noqa: RUF001


def text(origin: Origin, noise: Noise, samples: Samples, goals: list[Goal]) -> str:
    """Return everything for people."""
    parts = [
        [*origin.lines(), f"noise: {noise}"],
        _block("Latency of an allocation, us, p50 / p99:", percentiles(samples, "latency")),
        _block("The same in full banks (failures):", percentiles(samples, "full")),
        _block("Private, cleared in the background before:", percentiles(samples, "cleared")),
        _block(f"Alloc + free of {format_size(RATE_SIZE)}, a second:", rates(samples)),
        _block(
            f"First touch of {format_size(CPU_SIZE)}, a byte a page, us:",
            percentiles(samples, "touch"),
        ),
        _block("SYNC start + end, never pinned or attached, us:", percentiles(samples, "sync")),
        _block("All free bytes in one piece after a random load of 75 %:", load(samples)),
        _block(f"Allocations of {format_size(PAIR_SIZE)} a second:", pair(samples)),
        _block("What an allocation costs a process on the other CPU, us:", background(samples)),
        _block("Goals:", goal_rows(goals)),
        [_summary(goals)],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def percentiles(samples: Samples, name: str) -> list[list[str]]:
    """Return a row for each size, with p50 and p99 of each peer in microseconds."""
    peers = samples.peers(name)
    rows = [["", *(TITLES[peer] for peer in peers)]]
    for size in samples.sizes(name):
        rows.append([format_size(size), *(_cell(samples, name, peer, size) for peer in peers)])
    return rows


def rates(samples: Samples) -> list[list[str]]:
    """Return how often memory is allocated and freed."""
    return [
        [TITLES[peer], f"{1e9 / took:,.0f}"]
        for peer in samples.peers("rate")
        if (took := samples.median("rate", peer, RATE_SIZE))
    ]


def load(samples: Samples) -> list[list[str]]:
    """Return the share of what is free in the largest hole, the least; and the times."""
    rows = [["", "in one piece", "moved MiB", "took ms", "memcpy ms"]]
    for peer in samples.peers("load-hole"):
        share = one_piece(samples, peer)
        row = [TITLES[peer], MISSING if share is None else f"{share:.1%}"]
        for name, unit in (("load-moved", 1 << 20), ("load", 1e6), ("load-copy", 1e6)):
            values = samples.values(name, peer, 0)
            row.append(f"{sum(values) / unit:,.1f}" if values else MISSING)
        rows.append(row)
    return rows


def pair(samples: Samples) -> list[list[str]]:
    """Return what one private context gives to one thread, and two to two."""
    return [
        [title, f"{rate:,}"]
        for name, title in (("alone", "one context"), ("together", "two side by side"))
        if (rate := samples.median(name, "private", PAIR_SIZE)) is not None
    ]


def background(samples: Samples) -> list[list[str]]:
    """Return what each allocation takes from a loop on the other CPU, beside an empty ioctl."""
    peers = [peer for peer in samples.peers("counted") if peer != "ioctl"]
    rows = [["", *(TITLES[peer] for peer in peers)]]
    for size in samples.sizes("counted"):
        costs = (cost(samples, peer, size) for peer in peers)
        rows.append([format_size(size), *(MISSING if it is None else f"{it:.1f}" for it in costs)])
    return rows


def cost(samples: Samples, peer: str, size: int) -> float | None:
    """Return the microseconds of another CPU that each allocation takes: the counting lost.

    Each slice is compared with the one of the same round that only calls empty ioctls.
    """
    slices = zip(
        samples.values("counted", "ioctl", size),
        samples.values("counted", peer, size),
        samples.values("allocated", peer, size),
        strict=False,
    )
    costs = [(1 - counted / most) * 1e6 / allocated for most, counted, allocated in slices]
    return median(costs) if costs else None


def goal_rows(goals: list[Goal]) -> list[list[str]]:
    """Return a row for each goal."""
    verdicts = {True: "met", False: "MISSED", None: "not measured"}
    return [
        [
            goal.what,
            format_size(goal.size) if goal.size else "",
            MISSING if goal.measured is None else f"{goal.measured:.3g}",
            f"{'>=' if goal.least else '<='} {goal.limit:g}",
            verdicts[goal.met],
        ]
        for goal in goals
    ]


def samples_csv(samples: Samples) -> str:
    """Return every sample."""
    rows = ([it.name, it.peer, it.size, it.value, it.errno] for it in samples)
    return _csv(chain([COLUMNS], rows))


def goals_csv(origin: Origin, noise: Noise, goals: list[Goal]) -> str:
    """Return every goal, each with where it comes from."""
    head = ["what", "size", "measured", "at", "limit", "met"]
    head += ["board", "kernel", "commit", "date", "noise_p99", "noise_drift"]
    source = [origin.board, origin.kernel, origin.commit, origin.date]
    source += [f"{noise.p99:.3f}", f"{noise.drift:.3f}"]
    rows = (
        [
            goal.what,
            goal.size,
            "" if goal.measured is None else f"{goal.measured:.6g}",
            "least" if goal.least else "most",
            goal.limit,
            "" if goal.met is None else str(goal.met).lower(),
            *source,
        ]
        for goal in goals
    )
    return _csv(chain([head], rows))


def _csv(rows: Iterable[Sequence[object]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


def _cell(samples: Samples, name: str, peer: str, size: int) -> str:
    values, failed = samples.values(name, peer, size), samples.failures(name, peer, size)
    failures = f" ({failed} failed)" if failed else ""
    if not values:
        return f"{MISSING}{failures}"
    p50, p99 = (samples.percentile(it, name, peer, size) or 0 for it in (50, 99))
    return f"{p50 / 1e3:,.0f} / {p99 / 1e3:,.0f}{failures}"


def _block(title: str, rows: list[list[str]]) -> list[str]:
    return [title, *(f"  {line}" for line in _lines(rows))]


def _lines(rows: list[list[str]]) -> Iterator[str]:
    return table.lines(rows, "<" + ">" * (len(rows[0]) - 1)) if rows else iter(("not measured",))


def _summary(goals: list[Goal]) -> str:
    met = sum(goal.met is True for goal in goals)
    unknown = sum(goal.met is None for goal in goals)
    return f"{met} of {len(goals)} goals met, {unknown} not measured"
