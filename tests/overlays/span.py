# SPDX-License-Identifier: MIT
"""Spans of physical addresses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """`size` bytes from `start` on."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.start + self.size

    def __str__(self) -> str:
        return f"{self.start:#010x}..{self.end - 1:#010x}"

    def holds(self, other: Span) -> bool:
        """Tell whether all of the other is in it."""
        return self.start <= other.start and other.end <= self.end

    def overlaps(self, other: Span) -> bool:
        """Tell whether there are bytes in both; an empty span has none."""
        return self.start < other.end and other.start < self.end

    def common(self, other: Span) -> Span:
        """Return what is in both, of size 0 or less when nothing is."""
        start = max(self.start, other.start)
        return Span(start, min(self.end, other.end) - start)

    def without(self, other: Span) -> list[Span]:
        """Return what is left of it when another is cut out."""
        if not self.overlaps(other):
            return [self]
        parts = [
            Span(self.start, other.start - self.start),
            Span(other.end, self.end - other.end),
        ]
        return [part for part in parts if part.size > 0]


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return the same addresses in as few spans as possible, in order."""
    result: list[Span] = []
    for span in sorted(span for span in spans if span.size):
        if result and span.start <= result[-1].end:
            first = result.pop()
            span = Span(first.start, max(first.end, span.end) - first.start)
        result.append(span)
    return result


def cut(spans: Iterable[Span], out: Iterable[Span]) -> list[Span]:
    """Return what is left of spans when others are cut out of them."""
    left = list(spans)
    for hole in out:
        left = [part for span in left for part in span.without(hole)]
    return left


def highest(spans: Sequence[Span], size: int, alignment: int) -> Span | None:
    """Return the highest aligned place of this size in any of the spans."""
    places = [Span((span.end - size) // alignment * alignment, size) for span in spans]
    return max((it for it, span in zip(places, spans, strict=True) if span.holds(it)), default=None)
