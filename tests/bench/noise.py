# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What the host adds to what is measured: how even the same computation is, and stays."""

from __future__ import annotations

from dataclasses import dataclass

from bench.samples import Samples, percentile

NAME, PEER = "noise", "computing"


@dataclass(frozen=True, slots=True)
class Noise:
    """Of one computation: its p99 and its longest in terms of its median, and its drift.

    drift: the median of the second half of the samples in terms of that of the first.
    """

    p99: float
    longest: float
    drift: float

    def __str__(self) -> str:
        return (
            f"the same computation: p99 {self.p99:.2f}, longest {self.longest:.2f} medians;"
            f" drift {self.drift:.2f}"
        )


def noise(samples: Samples) -> Noise:
    """Return the noise of a run, which is measured before and after the rest of it."""
    values = samples.values(NAME, PEER, 0)
    middle, half = percentile(values, 50), len(values) // 2
    return Noise(
        percentile(values, 99) / middle,
        max(values) / middle,
        percentile(values[half:], 50) / percentile(values[:half] or values, 50),
    )
