# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What the module is to reach, as ratios within one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.peers import KIB, MIB, PAGE, SIZES
from bench.samples import Samples

UP_TO_16_MIB = [size for size in SIZES if size <= 16 * MIB]
FROM_1_MIB = [size for size in SIZES if size >= MIB]
FULL_SIZES = (1 * MIB, 8 * MIB, 16 * MIB)
RATE_SIZE = 64 * KIB
CPU_SIZE = 16 * MIB
PAIR_SIZE = 1 * MIB
OWN = ("private", "shared")


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal, and what was measured, None when that was not; size 0: of chunks of many sizes.

    `least`: the measured value is to be at least `limit`, otherwise at most.
    """

    what: str
    size: int
    measured: float | None
    limit: float
    least: bool = False

    @property
    def met(self) -> bool | None:
        """Return whether it was reached; None when that is not known."""
        if self.measured is None:
            return None
        return self.measured >= self.limit if self.least else self.measured <= self.limit


def ratio(above: float | None, below: float | None) -> float | None:
    """Return a ratio, None when one of both was not measured."""
    return None if above is None or not below else above / below


def goals(samples: Samples) -> list[Goal]:
    """Return every goal, in the order of the issue's table."""
    return [
        *_cold(samples),
        *_warm(samples),
        *_full(samples),
        *_rate(samples),
        *_cleared(samples),
        *_cpu(samples),
        *_load(samples),
        *_pair(samples),
    ]


def _cold(samples: Samples) -> Iterator[Goal]:
    for percent, limit in ((50, 1.0), (99, 1.2)):
        for size in UP_TO_16_MIB:
            own, peer = (samples.percentile(percent, "latency", it, size) for it in ("cold", "cma"))
            yield Goal(f"shared, cold / CMA heap, p{percent}", size, ratio(own, peer), limit)


def _warm(samples: Samples) -> Iterator[Goal]:
    for size in UP_TO_16_MIB:
        own, peer = (samples.median("latency", it, size) for it in ("warm", "cma"))
        limit = 0.5 if size <= 256 * KIB else 0.8
        yield Goal("shared, warm / CMA heap, p50", size, ratio(own, peer), limit)


def _full(samples: Samples) -> Iterator[Goal]:
    for percent in (50, 99):
        for size in FULL_SIZES:
            own, peer = (samples.percentile(percent, "full", it, size) for it in ("shared", "cma"))
            yield Goal(f"bank full: shared / CMA heap, p{percent}", size, ratio(own, peer), 1.0)
    for size in FULL_SIZES:
        failed = samples.failures("full", "shared", size)
        asked = failed + len(samples.values("full", "shared", size))
        yield Goal(f"bank full: failures of {asked:,}", size, failed if asked else None, 0)


def _rate(samples: Samples) -> Iterator[Goal]:
    for peer, limit in (("private", 3.5), ("shared", 3.0)):
        took, own = (samples.median("rate", it, RATE_SIZE) for it in ("cma", peer))
        what = f"alloc + free a second: {peer} / CMA heap"
        yield Goal(what, RATE_SIZE, ratio(took, own), limit, least=True)


def _cleared(samples: Samples) -> Iterator[Goal]:
    for size in FROM_1_MIB:
        own, peer = (samples.median("latency", it, size) for it in ("private", "memset"))
        yield Goal("private / memset, p50", size, ratio(own, peer), 1.1)
    page = samples.median("cleared", "private", PAGE)
    for size in SIZES[1:]:
        own = samples.median("cleared", "private", size)
        yield Goal("private, cleared before / its own 4 KiB, p50", size, ratio(own, page), 1.5)


def _cpu(samples: Samples) -> Iterator[Goal]:
    for name, what, beside in (
        ("touch", "first touch", "memset"),
        ("sync", "SYNC start + end, never pinned", "ioctl"),
    ):
        base = samples.median(name, beside, CPU_SIZE)
        for peer in OWN:
            own = samples.median(name, peer, CPU_SIZE)
            yield Goal(f"{what}: {peer} / {beside}, p50", CPU_SIZE, ratio(own, base), 3.0)


def _load(samples: Samples) -> Iterator[Goal]:
    for peer in OWN:
        what = f"75 % load: {peer}"
        share = None if samples.failures("load", peer, 0) else one_piece(samples, peer)
        yield Goal(f"{what}, free in one piece", 0, share, 1.0, least=True)
        took, copied = (sum(samples.values(it, peer, 0)) for it in ("load", "load-copy"))
        yield Goal(f"{what}, time / memcpy of what moved", 0, ratio(took, copied), 2.0)


def one_piece(samples: Samples, peer: str) -> float | None:
    """Return the share of the free bytes that the largest hole has, the least of all rounds."""
    holes, free = (samples.values(it, peer, 0) for it in ("load-hole", "load-free"))
    return min((a / b for a, b in zip(holes, free, strict=True)), default=None)


def _pair(samples: Samples) -> Iterator[Goal]:
    both, one = (samples.median(it, "private", PAIR_SIZE) for it in ("together", "alone"))
    what = "two contexts side by side / one"
    yield Goal(what, PAIR_SIZE, ratio(both, one), 1.8, least=True)
