# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Samples as the measuring program prints them, and what is computed of many."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

COLUMNS = ("name", "peer", "size", "value", "errno")


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: nanoseconds mostly, see measure/; an error makes the value meaningless."""

    name: str
    peer: str
    size: int
    value: int
    errno: int = 0


def parse(text: str) -> list[Sample]:
    """Read what the program printed; ValueError where it is not what it prints."""
    rows = csv.reader(io.StringIO(text))
    if tuple(next(rows, ())) != COLUMNS:
        raise ValueError(f"no samples: expected the columns {', '.join(COLUMNS)}")
    return [_sample(rows.line_num, row) for row in rows]


def _sample(line: int, row: Sequence[str]) -> Sample:
    try:
        name, peer, size, value, errno = row
        return Sample(name, peer, int(size), int(value), int(errno))
    except ValueError as error:
        raise ValueError(f"line {line} is no sample: {row} ({error})") from None


def percentile(values: Iterable[int], percent: float) -> int:
    """Return what so many percent of the values did not exceed; ValueError when there is none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Samples:
    """All samples of a run, in the order in which they were taken."""

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self._of: dict[tuple[str, str, int], list[Sample]] = defaultdict(list)
        self.add(samples)

    def add(self, samples: Iterable[Sample]) -> None:
        """Add samples that were taken later."""
        for sample in samples:
            self._of[sample.name, sample.peer, sample.size].append(sample)

    def __iter__(self) -> Iterator[Sample]:
        return (sample for taken in self._of.values() for sample in taken)

    def sizes(self, name: str) -> list[int]:
        """Return the sizes that there are samples of."""
        return sorted({size for known, _, size in self._of if known == name})

    def peers(self, name: str) -> list[str]:
        """Return the peers that there are samples of, in the order of the first one."""
        return list(dict.fromkeys(peer for known, peer, _ in self._of if known == name))

    def values(self, name: str, peer: str, size: int) -> list[int]:
        """Return the values of what did not fail, in the order in which they were taken."""
        return [it.value for it in self._of.get((name, peer, size), ()) if not it.errno]

    def failures(self, name: str, peer: str, size: int) -> int:
        """Return how many failed."""
        return sum(1 for it in self._of.get((name, peer, size), ()) if it.errno)

    def percentile(self, percent: float, name: str, peer: str, size: int) -> int | None:
        """Return the percentile of what did not fail; None when nothing was taken, or all did."""
        values = self.values(name, peer, size)
        return percentile(values, percent) if values else None

    def median(self, name: str, peer: str, size: int) -> int | None:
        """Return the median of what did not fail, or None."""
        return self.percentile(50, name, peer, size)
